// SPDX-License-Identifier: Apache-2.0
import Glibc
import TestSupport
import Testing

/// Starting, ending and crashing; clients of the control socket that mean no good.
extension EndToEnd {
  @Suite(.serialized) struct LifecycleTests {
    @Test(arguments: [SIGTERM, SIGINT]) func aSignalDetaches(signal: Int32) throws {
      let wire = try Wire()
      let director = try RunningDirector(on: wire.director)
      #expect(try director.isAttached)
      director.process.send(signal)
      #expect(director.process.wait(seconds: 10) == .exit(0), "\(director.process.output)")
      #expect(try !director.isAttached)
    }

    @Test func aSecondInstanceIsRefusedAndTheFirstGoesOn() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, ["192.168.1.151"])
      let other = director.controlPath + "-2"
      let (ending, output) = try served.lan.director.finish(
        RunningDirector.command(["--copy"], control: other), seconds: 30)
      #expect(ending != .exit(0))
      #expect(output.contains("lan0"), "\(output)")
      #expect(try served.ask(1) == [.body("rs1")])
    }

    @Test func afterAKillTheNextStartWorks() throws {
      let served = try ServedLan()
      do {
        let director = try RunningDirector(on: served.lan.director)
        try director.serve(ServedLan.web, ["192.168.1.151"])
        director.process.send(SIGKILL)
        #expect(director.process.wait(seconds: 5) == .signal(SIGKILL))
        #expect(try waitUntil { try !director.isAttached })
      }
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, ["192.168.1.152"])
      #expect(try served.ask(2) == [.body("rs2"), .body("rs2")])
    }

    @Test func aKilledDirectorsSocketIsTakenOver() throws {
      let wire = try Wire()
      let control = "/tmp/martinet-test-control-\(getpid())"
      defer { unlink(control) }
      let first = try wire.director.start(RunningDirector.command(["--copy"], control: control))
      #expect(waitUntil { access(control, F_OK) == 0 }, "\(first.output)")
      first.send(SIGKILL)
      _ = first.wait(seconds: 5)
      let second = try wire.director.start(RunningDirector.command(["--copy"], control: control))
      let answers = try waitUntil {
        try wire.director.finish(
          [RunningDirector.executable, "ipvsadm", "--control", control, "-L"]
        ).ending == .exit(0)
      }
      #expect(answers, "\(second.output)")
      second.send(SIGTERM)
      #expect(second.wait(seconds: 10) == .exit(0))
    }

    @Test(
      arguments: [
        (["--interface", "nosuch0"], "nosuch0"), (["--queues", "99"], "queue"),
        (["--xdp-mode", "fast"], "fast"), (["--zero-copy"], "zero"),
      ])
    func badArgumentsAreOneSentence(arguments: [String], word: String) throws {
      let wire = try Wire()
      let control = "/tmp/martinet-test-control-\(getpid())"
      defer { unlink(control) }
      let base = arguments.contains("--interface") ? [] : ["--interface", "lan0"]
      let (ending, output) = try wire.director.finish(
        [RunningDirector.executable, "run", "--control", control] + base + arguments, seconds: 30)
      guard case .exit(let code) = ending else {
        Issue.record("\(ending): \(output)")
        return
      }
      #expect(code != 0)
      #expect(output.lowercased().contains(word), "\(output)")
      #expect(!(try wire.director.run("ip -d link show lan0")).contains("prog/xdp"))
    }

    @Test func hostileControlClientsDoNotStallForwarding() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, ["192.168.1.151"])
      let address = "UNIX-CONNECT:\(director.controlPath)"
      let request = "GET /v1/services HTTP/1.1\\r\\nHost: a\\r\\n"
      let clients = try [
        ["sh", "-c", "head -c 300000 /dev/urandom | socat -u - \(address)"],
        ["sh", "-c", "printf '\(request)' | socat -t 30 -,ignoreeof \(address)"],
        ["socat", "-u", "-,ignoreeof", address],
        ["sh", "-c", "yes | head -c 3000000 | tr -d '\\n' | socat -u - \(address)"],
        ["sh", "-c", "yes '\(request)\\r\\n' | head -c 3000000 | socat -u - \(address)"],
      ].flatMap { command in try (0..<4).map { _ in try director.host.start(command) } }
      #expect(try served.ask(10) == Array(repeating: .body("rs1"), count: 10))
      #expect(try director.ipvsadm("-Ln").contains(Lan.vip))
      withExtendedLifetime(clients) {}
      #expect(director.process.wait(seconds: 0) == nil, "\(director.process.output)")
    }
  }
}
