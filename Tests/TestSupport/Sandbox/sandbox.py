# SPDX-License-Identifier: Apache-2.0
"""Prints the words, as JSON, before which a program has the capabilities and the system calls that
a unit of systemd leaves it.

    sandbox.py UNIT

The calls of a group are systemd's own (`systemd-analyze syscall-filter`); what else the unit says
is turned into filters as systemd does it (systemd.exec(5); src/shared/seccomp-util.c). Users and
paths stay as they are: the caller's files must be within reach.
"""

import base64
import errno
import json
import mmap
import os
import socket
import subprocess
import sys
import tempfile

from seccomp import ALLOW, EQ, ERRNO, GT, MASKED_EQ, NE, Arg, SyscallFilter

AF_MAX = 46  # include/linux/socket.h
SHM_EXEC = 0o100000
# CLONE_NEW* of include/uapi/linux/sched.h.
NAMESPACES = (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
# SCHED_OTHER, SCHED_BATCH, SCHED_IDLE; those above are real-time ones or unknown.
ORDINARY_POLICIES = (0, 3, 5)
SET_ID_BITS = (0o4000, 0o2000)
# Where the mode is in the arguments.
MODE_CALLS = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "mkdir": 1, "mkdirat": 2, "mknod": 1,
              "mknodat": 2}


def read(unit):
    """The values of each key, in order."""
    settings = {}
    with open(unit, encoding="utf-8") as file:
        for line in file:
            key, is_setting, value = line.strip().partition("=")
            if is_setting and not line.startswith("#"):
                settings.setdefault(key, []).append(value)
    return settings


def groups():
    """systemd's groups of system calls, by name."""
    found, name = {}, None
    listing = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter"], check=True,
                             capture_output=True, text=True).stdout
    for line in listing.splitlines():
        word = line.strip()
        if line.startswith("@"):
            name = word
            found[name] = []
        elif word.startswith("#") or not word:
            # A comment of nothing but its sign begins a list of calls that belong to no group.
            name = name if line.startswith(" ") else None
        elif name:
            found[name].append(word)
    return found


def calls(words, known):
    """What words stand for: groups become their calls."""
    named = set()
    for word in words:
        named |= calls(known[word], known) if word.startswith("@") else {word}
    return named


def permitted(filters):
    """SystemCallFilter=: a list to permit, what is taken from it, what is added."""
    known = groups()
    allowed = calls(["@default"], known)
    for line in filters:
        named = calls(line.removeprefix("~").split(), known)
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


def compiled(seccomp_filter):
    """As the kernel takes it, in base64."""
    with tempfile.TemporaryFile() as file:
        seccomp_filter.export_bpf(file)
        file.seek(0)
        return base64.b64encode(file.read()).decode()


def refusal(rules, number=errno.EPERM):
    """A filter that refuses what the rules say and permits all else."""
    refusing = SyscallFilter(ALLOW)
    for call, *conditions in rules:
        refusing.add_rule(ERRNO(number), call, *conditions)
    return compiled(refusing)


def filters(settings):
    """What the unit says of system calls."""
    families = [getattr(socket, name, 44)  # AF_XDP, which Python has no name for.
                for name in settings["RestrictAddressFamilies"][0].split()]
    yield refusal(
        [("socket", Arg(0, EQ, family)) for family in range(AF_MAX) if family not in families]
        + [("socket", Arg(0, GT, AF_MAX - 1))], errno.EAFNOSUPPORT)
    if settings["MemoryDenyWriteExecute"] == ["yes"]:
        both = mmap.PROT_WRITE | mmap.PROT_EXEC
        yield refusal([("mmap", Arg(2, MASKED_EQ, both, both)),
                       ("mprotect", Arg(2, MASKED_EQ, mmap.PROT_EXEC, mmap.PROT_EXEC)),
                       ("pkey_mprotect", Arg(2, MASKED_EQ, mmap.PROT_EXEC, mmap.PROT_EXEC)),
                       ("shmat", Arg(2, MASKED_EQ, SHM_EXEC, SHM_EXEC))])
    if settings["RestrictNamespaces"] == ["yes"]:
        yield refusal([(call, Arg(0, MASKED_EQ, flag, flag))
                       for call in ("unshare", "clone") for flag in NAMESPACES] + [("setns",)])
        yield refusal([("clone3",)], errno.ENOSYS)
    if settings["RestrictRealtime"] == ["yes"]:
        yield refusal([("sched_setscheduler", Arg(1, EQ, policy))
                       for policy in range(8) if policy not in ORDINARY_POLICIES]
                      + [("sched_setscheduler", Arg(1, GT, 7))])
    if settings["RestrictSUIDSGID"] == ["yes"]:
        yield refusal([(call, Arg(place, MASKED_EQ, bit, bit))
                       for call, place in MODE_CALLS.items() for bit in SET_ID_BITS])
    if settings["LockPersonality"] == ["yes"]:
        yield refusal([("personality", Arg(0, NE, 0))])
    allowing = SyscallFilter(ERRNO(errno.EPERM))
    for call in permitted(settings["SystemCallFilter"]):
        try:
            allowing.add_rule(ALLOW, call)
        except RuntimeError:
            pass  # The library does not know so new a call: it stays refused.
    yield compiled(allowing)


def main():
    """One list of words."""
    settings = read(sys.argv[1])
    kept = ",".join("+" + name.removeprefix("CAP_").lower()
                    for name in settings["CapabilityBoundingSet"][0].split())
    confine = os.path.join(os.path.dirname(os.path.abspath(__file__)), "confine.py")
    print(json.dumps([
        "env", *settings.get("Environment", []),
        "setpriv", "--no-new-privs", f"--bounding-set=-all,{kept}", f"--inh-caps=-all,{kept}",
        f"--ambient-caps=-all,{kept}", "--securebits=+noroot,+noroot_locked",
        sys.executable, "-ISB", confine, ",".join(filters(settings))]))


if __name__ == "__main__":
    main()
