// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport

/// The shipped unit, unchanged, run by a real systemd on a host of the test network: a manager as
/// users have it, but as root, so that it can do all that the unit asks for. It has processes,
/// mounts, control groups, /run and /etc of its own: nothing of it meets the machine's.
final class ManagedDirector {
  static let requirement = Requirement.commands("systemctl", "systemd-analyze", "unshare", "ip")
  private static let log = "/run/martinet.log"

  private let host: Machine
  private let folder = NSTemporaryDirectory() + "martinet-test-" + UUID().uuidString
  private let process: Child
  /// The first process in there.
  private let first: String

  /// - Parameter dropIn: lines that a unit's `[Service]` gets besides.
  init(on host: Machine, configuration: String, dropIn: String = "") throws {
    self.host = host
    let dropIns = folder + "/units/martinet.service.d"
    try FileManager.default.createDirectory(atPath: dropIns, withIntermediateDirectories: true)
    try FileManager.default.copyItem(
      at: Sandbox.unit, to: URL(filePath: folder + "/units/martinet.service"))
    try "[Service]\nStandardError=append:\(Self.log)\n\(dropIn)\n".write(
      toFile: dropIns + "/test.conf", atomically: true, encoding: .utf8)
    try configuration.write(
      toFile: folder + "/martinet.yaml", atomically: true, encoding: .utf8)
    process = try host.start([
      "unshare", "--mount", "--pid", "--fork", "--cgroup", "--kill-child", "bash", "-c",
      Self.script, "manager", folder, RunningDirector.executable,
    ])
    let children = "/proc/\(process.pid)/task/\(process.pid)/children"
    var found = ""
    let isThere = waitUntil {
      found = (try? String(contentsOfFile: children, encoding: .utf8)) ?? ""
      return !found.isEmpty
    }
    first = found.trimmingCharacters(in: .whitespaces)
    guard isThere, try waitUntil({ try systemctl("show", "--property=Version").ending == .exit(0) })
    else { throw Failure("systemd does not come up\n\(output)") }
  }

  deinit {
    // The first process of a namespace takes all others with it.
    process.send(SIGKILL)
    _ = process.wait(seconds: 10)
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// $1: the folder with the units and the configuration; $2: the program.
  private static let script = """
    set -e
    mount --make-rprivate /
    mount -t proc proc /proc
    mount -t tmpfs tmpfs /run
    mount --bind /dev/null /dev/console
    cp -a /etc /run/etc
    mount --bind /run/etc /etc
    echo 'martinet:x:64747:64747::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
    echo 'martinet:x:64747:' >>/etc/group
    mkdir -p /etc/martinet /run/systemd/system /run/sbin
    cp "$1/martinet.yaml" /etc/martinet/
    chown -R martinet:martinet /etc/martinet
    cp "$2" /run/sbin/martinet
    mount --bind /run/sbin /usr/local/sbin
    umount -R /sys/fs/cgroup 2>/dev/null || true
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    export XDG_RUNTIME_DIR=/run XDG_CONFIG_HOME=/etc SYSTEMD_UNIT_PATH="$1/units:"
    export SYSTEMD_LOG_TARGET=console
    /usr/lib/systemd/systemd --user --unit=basic.target &
    until [[ -S /run/systemd/notify ]]; do sleep 0.02; done
    chmod 777 /run/systemd/notify # As the system's own manager has it.
    wait
    """

  /// A command on the host as the manager's own processes see it.
  func finish(_ command: [String], seconds: Double = 60) throws -> (
    ending: Child.Ending, output: String
  ) {
    try Child.run(
      ["nsenter", "-t", first, "-m", "-n", "-p"] + command,
      environment: ["XDG_RUNTIME_DIR": "/run"], seconds: seconds)
  }

  func systemctl(_ words: String...) throws -> (ending: Child.Ending, output: String) {
    try finish(["systemctl", "--user"] + words)
  }

  /// A property of the unit.
  func property(_ name: String) throws -> String {
    try systemctl("show", "martinet", "--property=\(name)", "--value").output
      .trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// A field of /proc/PID/status.
  func processStatus(_ field: String) throws -> String? {
    try finish(["cat", "/proc/\(property("MainPID"))/status"]).output.split(separator: "\n")
      .first { $0.hasPrefix(field + ":") }?.split(separator: "\t").dropFirst()
      .joined(separator: " ")
  }

  func martinet(_ arguments: String) throws -> (ending: Child.Ending, output: String) {
    try finish(
      ["/usr/local/sbin/martinet"] + arguments.split(separator: " ").map(String.init))
  }

  /// Replaces the configuration file.
  func configure(_ text: String) throws {
    try text.write(toFile: folder + "/new.yaml", atomically: true, encoding: .utf8)
    _ = try finish(["cp", folder + "/new.yaml", "/etc/martinet/martinet.yaml"])
  }

  /// What the manager and the director said.
  var output: String {
    process.output + ((try? finish(["cat", Self.log]).output) ?? "")
  }
}
