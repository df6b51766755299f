# SPDX-License-Identifier: Apache-2.0
# What scripts/test and scripts/demo share: words to the reader, and a machine made ready.

BUILD_PACKAGES=(
  libc6-dev libxdp-dev libbpf-dev libelf-dev libnl-3-dev libnl-route-3-dev libssl-dev pkg-config
  git)
# swiftc links with some version of the C++ library; a toolchain unpacked from an archive has none.
compgen -G '/usr/lib/gcc/*/*/libstdc++.so' >/dev/null || BUILD_PACKAGES+=(g++)
readonly LAB_PACKAGES=(iproute2 iputils-ping ethtool util-linux procps binutils nginx curl tcpdump
  socat prometheus keepalived openssl dnsmasq-base systemd tmux python3-jsonschema
  python3-seccomp)

say() { printf '\n== %s\n' "$*"; }

die() {
  printf 'FAIL: %s\n' "$*" >&2
  exit 1
}

# Root, Linux with XDP sockets, Swift 6: each missing one is a sentence that says what to do.
require_machine() {
  [[ $(uname -s) == Linux ]] || die "this is $(uname -s); AF_XDP needs Linux: use a Linux machine."
  [[ $EUID -eq 0 ]] || die "network namespaces and XDP need root: run 'sudo $0'."
  grep -q '^XDP ' /proc/net/protocols ||
    die "kernel $(uname -r) has no XDP sockets: boot one built with CONFIG_XDP_SOCKETS=y."
  command -v swift >/dev/null ||
    die "no 'swift' on PATH: install Swift 6 from https://www.swift.org/install."
  local banner
  banner=$(swift --version 2>/dev/null) || die "'swift --version' fails: reinstall the toolchain."
  [[ $banner =~ Swift\ version\ ([0-9]+) && ${BASH_REMATCH[1]} -ge 6 ]] ||
    die "Swift 6 is needed, this is '${banner%%$'\n'*}': see https://www.swift.org/install."
}

is_installed() {
  [[ $(dpkg-query -W -f='${Status}' "$1" 2>/dev/null) == "install ok installed" ]]
}

apt_install() { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; }

# install_missing PACKAGE...: apt-get for those that are not there yet, nothing otherwise. Of
# several at once one goes after the other.
install_missing() {
  command -v apt-get >/dev/null || die "no apt-get here: install the equivalents of: $*."
  local package lock missing=()
  exec {lock}>/run/lock/martinet-install
  flock "$lock"
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  if [[ ${#missing[@]} -gt 0 ]]; then
    say "Installing ${missing[*]}"
    keep_services_down
    apt_install "${missing[@]}" || { apt-get update && apt_install "${missing[@]}"; } ||
      die "apt-get cannot install ${missing[*]}: its message is above."
    let_services_start
  fi
  exec {lock}>&-
}

# nginx is wanted as a program: while apt runs, Debian's policy-rc.d says no to starting services.
readonly POLICY=/usr/sbin/policy-rc.d
POLICY_IS_OURS=
keep_services_down() {
  [[ ! -e $POLICY ]] || return 0
  printf '#!/bin/sh\nexit 101\n' >"$POLICY"
  chmod 755 "$POLICY"
  POLICY_IS_OURS=yes
}
let_services_start() {
  [[ -z $POLICY_IS_OURS ]] || rm -f "$POLICY"
  POLICY_IS_OURS=
}

# wait_for SECONDS COMMAND...: polls until the command succeeds; its failure is ours at the end.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" &>/dev/null; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}
