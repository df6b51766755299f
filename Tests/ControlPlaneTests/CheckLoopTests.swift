// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import Logging
import TestSupport
import Testing

@testable import ControlPlane

/// Real sockets on loopback, friendly and not.
@Suite(.serialized) struct CheckLoopTests {
  private static let localhost = IPAddress("127.0.0.1")!

  /// The status of a check of `port` once it has so many results.
  private func status(
    _ kind: HealthCheck.Kind, port: UInt16, results: UInt64 = 1, address: IPAddress = localhost,
    _ change: (inout CheckSchedule) -> Void = { _ in }
  ) throws -> CheckStatus {
    var check = HealthCheck(kind, port: Port(port))
    check.schedule.intervalMilliseconds = 100
    check.schedule.timeoutMilliseconds = 700
    (check.schedule.fall, check.schedule.initial) = (1, .down)
    change(&check.schedule)
    let loop = try CheckLoop(
      interfaces: [1], logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    defer { loop.stop() }
    let realServer = RealServerConfiguration(address: address, port: Port(port))
    _ = loop.make([CheckInstance(check, of: realServer, in: .web)], neighbors: [:])
    func present() throws -> CheckStatus { try #require(loop.statuses().first) }
    let hasResults = try waitUntil(seconds: 20) {
      let status = try present()
      return status.successes + status.failures >= results || status.lastFailure != nil
    }
    let last = try present()
    #expect(hasResults, "\(last)")
    return last
  }

  private func http(body: String? = nil) -> HealthCheck.Kind {
    var question = HTTPQuestion()
    question.body = body
    return .http(question)
  }

  @Test func connections() throws {
    let server = try LoopbackServer { _ in }
    #expect(try status(.tcp, port: server.port, results: 3).isUp)
    let port = server.port
    server.stop()
    let refused = try status(.tcp, port: port)
    #expect(!refused.isUp && refused.lastFailure == "connect: connection refused")
  }

  @Test func httpAnswers() throws {
    let server = try LoopbackServer { connection in
      _ = connection.receive()
      connection.send("HTTP/1.1 200 OK\r\n\r\nall is well")
    }
    #expect(try status(http(), port: server.port).successes >= 1)
    #expect(try status(http(body: "is well"), port: server.port).isUp)
    #expect(
      try status(http(body: "is bad"), port: server.port).lastFailure
        == "the body is without the text")
    let request = try #require(server.received.first)
    #expect(request.hasPrefix("GET / HTTP/1.0\r\nHost: 127.0.0.1:\(server.port)\r\n"), "\(request)")
    #expect(request.hasSuffix("\r\n\r\n"))
  }

  /// Each has its end, and none of them takes memory without one.
  @Test func hostileServers() throws {
    let silent = try LoopbackServer { $0.waitUntilClosed() }
    #expect(try status(http(), port: silent.port).lastFailure == "no answer within 0.7 s")
    let endless = try LoopbackServer { connection in
      connection.send("HTTP/1.1 200 OK\r\n\r\n")
      while connection.send(String(repeating: "x", count: 65_536)) {}
    }
    #expect(
      try status(http(body: "hello"), port: endless.port).lastFailure
        == "the first 64 KiB are without the text")
    let garbage = try LoopbackServer { connection in
      while connection.send(String(repeating: "\0", count: 4096)) {}
    }
    #expect(try status(http(), port: garbage.port).lastFailure == "no HTTP answer")
    // What speaks first is heard, although it says nothing more when it is asked.
    let early = try LoopbackServer { connection in
      connection.send("SSH-2.0-sshd\r\n")
      connection.waitUntilClosed()
    }
    #expect(try status(http(), port: early.port).lastFailure == "no HTTP answer")
    let slow = try LoopbackServer { connection in
      for character in "HTTP/1.1 2" where connection.send(String(character)) { usleep(200_000) }
      connection.waitUntilClosed()
    }
    #expect(try status(http(), port: slow.port).lastFailure == "no answer within 0.7 s")
    let closing = try LoopbackServer { _ in }
    #expect(try !status(http(), port: closing.port).isUp)
    // What speaks no TLS, and what hangs in it.
    let https = HealthCheck.Kind.https(HTTPQuestion(), TLSQuestion())
    let failure = try #require(try status(https, port: garbage.port).lastFailure)
    #expect(failure.hasPrefix("tls: "), "\(failure)")
    #expect(try status(https, port: silent.port).lastFailure == "no answer within 0.7 s")
  }

  /// One that hangs keeps no other waiting.
  @Test func checksDoNotWaitForEachOther() throws {
    let (silent, fine) = (
      try LoopbackServer { $0.waitUntilClosed() }, try LoopbackServer { _ in }
    )
    let loop = try CheckLoop(
      interfaces: [1], logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    defer { loop.stop() }
    var hanging = HealthCheck(http(), port: Port(silent.port))
    hanging.schedule.timeoutMilliseconds = 60_000
    var quick = HealthCheck(.tcp, port: Port(fine.port))
    quick.schedule.intervalMilliseconds = 100
    let realServer = RealServerConfiguration(address: Self.localhost, port: Port(1))
    _ = loop.make(
      Set([hanging, quick].map { CheckInstance($0, of: realServer, in: .web) }), neighbors: [:])
    #expect(waitUntil { loop.statuses().contains { $0.successes >= 5 } })
    #expect(loop.statuses().contains { $0.successes + $0.failures == 0 })
  }

  @Test(.requires(.root)) func echoes() throws {
    for address in ["127.0.0.1", "::1"] {
      let status = try status(.ping, port: 0, results: 2, address: IPAddress(address)!)
      #expect(status.isUp, "\(address): \(status)")
    }
  }

  @Test func commands() throws {
    #expect(try status(.command("/bin/true"), port: 80).isUp)
    #expect(try status(.command("/bin/false"), port: 80).lastFailure == "exit code 1")
    let missing = try status(.command("/no/such/program"), port: 80)
    #expect(missing.lastFailure == "/no/such/program: no such file or directory")
    #expect(missing.failures == 0)
    // It knows whom it is to check.
    let folder = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let script = folder + "/check"
    try """
    #!/bin/sh
    echo "$1 $MARTINET_ADDRESS $MARTINET_PORT $(ls /proc/self/fd | wc -l)" > \(folder)/said
    """.write(toFile: script, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: script)
    let said = folder + "/said"
    #expect(
      try status(.command("\(script) word"), port: 81) { $0.intervalMilliseconds = 60_000 }.isUp)
    #expect(try String(contentsOfFile: said, encoding: .utf8) == "word 127.0.0.1 81 4\n")
  }

  /// A program that hangs is killed with all that it started.
  @Test func hangingCommandsAreKilled() throws {
    let folder = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let script = folder + "/check"
    try "#!/bin/sh\nsleep 1000 &\necho $$ $! > \(folder)/pids\nwait\n"
      .write(toFile: script, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: script)
    #expect(
      try status(.command(script), port: 80) { $0.intervalMilliseconds = 60_000 }.lastFailure
        == "no answer within 0.7 s")
    let pids = try String(contentsOfFile: folder + "/pids", encoding: .utf8)
      .split(whereSeparator: \.isWhitespace).compactMap { pid_t($0) }
    #expect(pids.count == 2)
    // The second belongs to init then, which may take a moment to bury it.
    let isGone = waitUntil {
      pids.allSatisfy { pid in
        let state = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
        return state?.contains(") Z ") ?? true
      }
    }
    #expect(isGone)
  }
}
