// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

/// The kernel's IPVS as a director at the end of a cable: Linux in user mode, a process whose root
/// is this machine's, read-only, and whose one interface is a tap that the test holds.
///
/// Commands and answers are files in a folder that both see. The guest ends with this object, and
/// by itself when the test's process is gone. One thread at a time.
final class KernelDirector: @unchecked Sendable {
  /// The one that the tests of this suite use, one after the other.
  @TaskLocal static var shared: KernelDirector?

  private static let schedulers =
    TwoDirectors.kernelSchedulers.map { "ip_vs_\($0)" }.joined(separator: " ")

  let tap: FrameTap
  private let machine: Machine
  private let guest: Child
  private let folder: String
  private var commandCount = 0
  var comparisons = Comparisons()

  /// What Martinet was compared with it in.
  struct Comparisons: CustomStringConvertible {
    var packets = 0
    var frames = 0
    var commands = 0
    var listings = 0

    var description: String {
      "\(packets) packets in \(frames) frames, \(commands) commands, \(listings) listings of tables"
    }
  }

  /// Boots it and gives it the addresses, the MAC address and the permanent neighbours of
  /// `Wire`'s director.
  init() throws {
    machine = try Machine("kernel")
    try machine.ip("tuntap add dev tap0 mode tap")
    try machine.run("sysctl -qw net.ipv6.conf.tap0.disable_ipv6=1")
    try machine.ip("link set tap0 up")
    tap = try machine.tap("tap0")
    folder = NSTemporaryDirectory() + "martinet-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Self.initProgram.write(toFile: folder + "/init", atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o755], ofItemAtPath: folder + "/init")
    guest = try machine.start([
      "linux.uml", "mem=128M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
      "init=\(folder)/init", "FOLDER=\(folder)", "TESTER=\(getpid())", "uml_dir=\(folder)/",
      "con=null", "con0=null,fd:1", "quiet", "vec0:transport=tap,ifname=tap0,depth=128,gro=0",
    ])
    try run(Self.network, seconds: 60)
  }

  deinit {
    guest.send(SIGTERM)
    _ = guest.wait(seconds: 10)
    try? FileManager.default.removeItem(atPath: folder)
  }

  private static var network: String {
    let neighbors = TwoDirectors.realServers.flatMap { number in
      ["192.168.2.", "fd00:2::"].map { "neighbor \($0)\(number) \(Lan.mac(number))" }
    }
    return """
      modprobe() { command modprobe -d /run/root "$@"; }
      modprobe ipv6
      sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000 \
        net.ipv6.icmp.ratelimit=0 net.ipv6.conf.all.accept_ra=0
      ip link set lo up
      ip link set vec0 address \(Wire.directorMAC) up
      ip address add 192.168.2.150/24 dev vec0
      ip address add 192.168.2.149/32 dev vec0
      ip address add fd00:2::150/64 dev vec0 nodad
      ip address add fd00:2::149/128 dev vec0 nodad
      neighbor() { ip neighbor replace "$1" lladdr "$2" dev vec0 nud permanent; }
      neighbor 192.168.2.1 \(Wire.farMAC)
      neighbor fd00:2::1 \(Wire.farMAC)
      ip route add default via 192.168.2.1
      ip route add default via fd00:2::1
      \(neighbors.joined(separator: "\n"))
      modprobe -a sch_ingress cls_flower act_skbedit ip_vs \(Self.schedulers)
      tc qdisc add dev vec0 clsact
      """
  }

  /// An IPVS without services and connections and with default settings but these, of
  /// /proc/sys/net/ipv4/vs.
  func reset(_ settings: [String: Int]) throws {
    let words = settings.map { "net.ipv4.vs.\($0.key)=\($0.value)" }.sorted()
    try run(
      """
      ipvsadm -C
      ip neighbor flush dev vec0 nud incomplete
      modprobe -r \(Self.schedulers) && modprobe -r ip_vs || return
      modprobe -a ip_vs \(Self.schedulers) || return
      \(words.isEmpty ? "true" : "sysctl -qw " + words.joined(separator: " "))
      """, seconds: 60)
  }

  /// The guest's first process: mounts what is needed, then runs one script after the other.
  private static let initProgram = """
    #!/bin/bash
    export PATH=/usr/sbin:/usr/bin:/sbin:/bin
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t tmpfs tmpfs /run
    mount --bind /dev/null /etc/resolv.conf
    mkdir -p /run/shared /run/tester /run/root/lib/modules
    mount -t hostfs none /run/shared -o "$FOLDER"
    mount -t hostfs none /run/tester -o "/proc/$TESTER"
    ln -s "/usr/lib/uml/modules/$(uname -r)" /run/root/lib/modules/
    mkfifo /run/silent
    exec 3<>/run/silent
    number=0
    while [[ -e /run/tester/stat ]]; do
      if [[ -e /run/shared/command.$number ]]; then
        . /run/shared/command.$number >/run/shared/answer.$number 2>&1
        echo $? >/run/shared/status.$number
        number=$((number + 1))
      else
        read -r -t 0.01 -u 3
      fi
    done
    echo o >/proc/sysrq-trigger
    sleep 10

    """

  /// Runs a shell script to its end, in the guest's first process: programs start slowly there.
  func finish(_ script: String, seconds: Double = 30) throws -> (exitCode: Int32, output: String) {
    try answer(to: start(script), seconds: seconds)
  }

  /// A script that runs, or waits until those before it are through.
  struct Running {
    fileprivate var number: Int
    fileprivate var script: String
  }

  func start(_ script: String) throws -> Running {
    let number = commandCount
    commandCount += 1
    try script.write(toFile: "\(folder)/command", atomically: true, encoding: .utf8)
    try FileManager.default.moveItem(
      atPath: "\(folder)/command", toPath: "\(folder)/command.\(number)")
    return Running(number: number, script: script)
  }

  func answer(
    to running: Running, seconds: Double = 30
  ) throws -> (exitCode: Int32, output: String) {
    let statusPath = "\(folder)/status.\(running.number)"
    var exitCode: Int32?
    let isDone = try waitUntil(seconds: seconds) {
      if let ending = guest.wait(seconds: 0) {
        throw Failure("user-mode Linux ended: \(ending)\n\(guest.output)")
      }
      guard let status = try? String(contentsOfFile: statusPath, encoding: .utf8) else {
        return false
      }
      exitCode = status.hasSuffix("\n") ? Int32(status.dropLast()) : nil
      return exitCode != nil
    }
    guard isDone, let exitCode else {
      throw Failure(
        "no answer in \(seconds) s from user-mode Linux: \(running.script)\n\(guest.output)")
    }
    let answerPath = "\(folder)/answer.\(running.number)"
    return (exitCode, try String(contentsOfFile: answerPath, encoding: .utf8))
  }

  /// The script's output; throws unless it exits with 0.
  @discardableResult
  func run(_ script: String, seconds: Double = 30) throws -> String {
    let (exitCode, output) = try finish(script, seconds: seconds)
    guard exitCode == 0 else { throw Failure("\(script): exit \(exitCode)\n\(output)") }
    return output
  }
}

extension Requirement {
  /// Debian's packages `user-mode-linux` and `ipvsadm`: absent where apt does not know them, broken
  /// where it does, because then `scripts/test` installs them.
  static let kernelDirector = Requirement {
    let tools = Requirement.commands("linux.uml", "ipvsadm", "modprobe", "ip", "tc", "sysctl")
    guard case .absent(let reason) = tools.finding else { return .present }
    let known = try? Child.run(["apt-cache", "show", "user-mode-linux", "ipvsadm", "kmod"])
    return known?.ending == .exit(0)
      ? .broken("\(reason); their packages can be had: run scripts/test")
      : .absent("\(reason); apt-cache: \(known?.output ?? "not there")")
  }
}
