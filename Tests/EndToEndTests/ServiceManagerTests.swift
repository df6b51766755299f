// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

/// The director under a service manager.
extension EndToEnd {
  @Suite(.serialized, .requires(ManagedDirector.requirement)) struct ServiceManagerTests {
    private static func file(_ servers: [String]) -> String {
      let list = servers.map { "{address: \($0)}" }.joined(separator: ", ")
      let list6 = servers.map {
        "{address: \"fd00:1::\($0.suffix(3))\"}"
      }.joined(separator: ", ")
      return """
        interface: {name: lan0, copy-mode: copy}
        announce: true
        services:
        - {vip: \(Lan.vip), protocol: tcp, port: 80, scheduler: rr, real-servers: [\(list)]}
        - {vip: "\(Lan.vip6)", protocol: tcp, port: 80, scheduler: rr, real-servers: [\(list6)]}
        - {vip: \(Lan.vip), protocol: udp, port: 53, scheduler: rr, real-servers: [\(list)]}

        """
    }

    /// The words themselves, at a socket of the test's.
    @Test(arguments: ["/tmp/", "@"]) func theDirectorsWords(prefix: String) throws {
      let wire = try Wire()
      let id = "martinet-test-\(UUID().uuidString.prefix(8))"
      // Abstract names belong to a network namespace.
      let socket = try wire.director.namespace.perform { try NotifySocket(prefix + id) }
      let control = NSTemporaryDirectory() + id + ".control"
      let director = try wire.director.start(
        RunningDirector.command(["--copy"], control: control),
        environment: ["NOTIFY_SOCKET": socket.name, "WATCHDOG_USEC": "2000000"])
      try #require(
        socket.receive(seconds: 30) == ["READY=1", "STATUS=forwarding on lan0"],
        "\(director.output)")
      #expect(access(control, F_OK) == 0, "ready before it can be asked")
      #expect(!socket.receive(until: "WATCHDOG=1").isEmpty)
      director.send(SIGHUP)
      #expect(
        socket.receive(until: "RELOADING=1").last?.hasPrefix("MONOTONIC_USEC=") == true)
      #expect(
        socket.receive(until: "READY=1").last?.hasPrefix(
          "STATUS=forwarding on lan0; the last reload was refused: there is no configuration")
          == true)
      director.send(SIGTERM)
      #expect(!socket.receive(until: "STOPPING=1").isEmpty)
      #expect(director.wait(seconds: 10) == .exit(0))
    }

    /// CAP_NET_ADMIN 12, NET_RAW 13, IPC_LOCK 14, PERFMON 38, BPF 39 (linux/capability.h).
    private static let capabilities = "000000c000007000"

    /// What all other tests here start has the unit's capabilities and system calls, no more.
    @Test func directorsOfTheseTestsHaveTheUnitsRights() throws {
      try #require(!Sandbox.prefix.isEmpty, "the line above says what is missing")
      let wire = try Wire()
      let director = try RunningDirector(on: wire.director)
      let status = try String(
        contentsOfFile: "/proc/\(director.process.pid)/status", encoding: .utf8
      ).split(separator: "\n")
      for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        #expect(status.contains("\(set):\t\(Self.capabilities)"), "\(status)")
      }
      #expect(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "\(status)")
      // @chown, RestrictNamespaces, RestrictRealtime, RestrictSUIDSGID; then what the director does
      // itself.
      let path = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString)"
      try Data().write(to: URL(filePath: path))
      defer { unlink(path) }
      for (command, isAllowed) in [
        ("chown 0 \(path)", false), ("unshare --net true", false), ("chrt -f 1 true", false),
        ("chmod 4700 \(path)", false), ("chmod 600 \(path)", true), ("taskset 1 true", true),
      ] {
        let ending = try Child.run(Sandbox.prefix + command.split(separator: " ").map(String.init))
        #expect((ending.ending == .exit(0)) == isAllowed, "\(command): \(ending.output)")
      }
    }

    @Test func theShippedUnitServesInItsSandbox() throws {
      let served = try ServedLan()
      try served.lan.director.ip("address del \(Lan.vip)/32 dev lan0")
      let managed = try ManagedDirector(
        on: served.lan.director, configuration: Self.file(["192.168.1.151", "192.168.1.152"]))
      let started = try managed.systemctl("start", "martinet")
      #expect(started.ending == .exit(0), "\(started.output)\(managed.output)")
      #expect(try managed.property("ActiveState") == "active")
      #expect(try managed.property("StatusText") == "forwarding on lan0")
      for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        #expect(try managed.processStatus(set) == Self.capabilities, "\(set)")
      }
      #expect(try managed.processStatus("NoNewPrivs") == "1")
      #expect(try managed.processStatus("Seccomp") == "2", "SECCOMP_MODE_FILTER")
      #expect(try managed.processStatus("Uid") == "64747 64747 64747 64747")

      for url in [ServedLan.url, ServedLan.url6] {
        let areBothServing = try waitUntil {
          try Set(served.ask(4, url).map(String.init(describing:)))
            == Set(["rs1", "rs2"].map { String(describing: Reply.body($0)) })
        }
        #expect(areBothServing, "\(url): \(managed.output)")
      }
      #expect(try ["rs1", "rs2"].contains(served.query(fromPort: 5001)))
      #expect(try served.lan.director.run("ip address show dev lan0").contains(Lan.vip))
      #expect(!managed.output.contains("not announced"), "\(managed.output)")
      // What the control socket takes reaches the kernel's maps, neighbours and files.
      #expect(
        try managed.martinet("ipvsadm -d \(ServedLan.web) -r 192.168.1.152").ending == .exit(0))
      #expect(try served.ask(2) == [.body("rs1"), .body("rs1")])
      let saved = try managed.martinet("save")
      #expect(saved.output.hasSuffix("saved\n"), "\(saved.output)")
      #expect(try managed.martinet("ipvsadm -A -t \(Lan.vip):8080 -s wlc").ending == .exit(0))
      #expect(
        try managed.martinet("ipvsadm -a -t \(Lan.vip):8080 -r 192.168.1.152").ending == .exit(0))
      #expect(try served.ask(1, "http://\(Lan.vip):8080/") == [.body("rs2")])

      // A reload that is refused fails, says why and changes nothing.
      #expect(try managed.systemctl("reload", "martinet").ending != .exit(0))
      #expect(managed.output.contains("save it first, or force the reload"), "\(managed.output)")
      #expect(try managed.martinet("save").ending == .exit(0))
      try managed.configure(Self.file(["192.168.1.152"]))
      #expect(try managed.systemctl("reload", "martinet").ending == .exit(0))
      #expect(try served.ask(2) == [.body("rs2"), .body("rs2")])

      #expect(try managed.systemctl("stop", "martinet").ending == .exit(0))
      #expect(try managed.property("Result") == "success")
      #expect(try !served.lan.director.run("ip -d link show lan0").contains("prog/xdp"))
    }

    /// A director whose threads stand still is replaced.
    @Test func theWatchdogReplacesADirectorThatHangs() throws {
      let served = try ServedLan()
      let managed = try ManagedDirector(
        on: served.lan.director, configuration: Self.file(["192.168.1.151"]),
        dropIn: "WatchdogSec=3\nRestartSec=100ms")
      #expect(try managed.systemctl("start", "martinet").ending == .exit(0))
      #expect(try served.ask(1) == [.body("rs1")])
      let hanging = try managed.property("MainPID")
      _ = try managed.finish(["kill", "-STOP", hanging])
      let isReplaced = try waitUntil(seconds: 60) {
        try managed.property("NRestarts") == "1" && managed.property("ActiveState") == "active"
      }
      #expect(isReplaced, "\(managed.output)")
      #expect(try managed.property("MainPID") != hanging)
      #expect(try served.ask(1) == [.body("rs1")])
    }

    /// systemd's own judgement; 10 is the worst, and 9.6 a service without any of it.
    @Test func systemdFindsNothingWrongWithTheUnit() throws {
      let wire = try Wire()
      let managed = try ManagedDirector(on: wire.director, configuration: Self.file([]))
      let path = "/run/martinet.service"
      _ = try managed.finish(["cp", Sandbox.unit.path, path])
      let verified = try managed.finish(["systemd-analyze", "verify", "--man=no", path])
      #expect(verified.ending == .exit(0) && verified.output.isEmpty, "\(verified.output)")
      let judged = try managed.finish(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", path])
      #expect(judged.ending == .exit(0), "\(judged.output)")
    }
  }
}
