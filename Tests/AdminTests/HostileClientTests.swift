// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import Foundation
import Logging
import NIOCore
import TestSupport
import Testing

@testable import AdminServer

/// No client can stall the daemon or grow its memory: each of these is answered or cut off, and
/// the next honest client is served.
@Suite struct HostileClientTests {
  /// Serves a hostile client, then an honest one.
  private func serve(
    limits: ClientLimits = .init(),
    _ hostile: @escaping @Sendable (_ socketPath: String) -> Void
  ) async throws {
    try await AdminDesk.serve(limits: limits) { desk in
      let path = desk.socketPath
      await onThread { hostile(path) }
      #expect(await desk.ipvsadm("-L --timeout").output.hasPrefix("Timeout "))
    }
  }

  @Test(arguments: [
    "\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "hello\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
    "POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "POST /v1/commands HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nA: " + String(repeating: "a", count: 100_000) + "\r\n\r\n",
    "GET /" + String(repeating: "a", count: 100_000) + " HTTP/1.1\r\n\r\n",
  ])
  func garbageIsAnswered(request: String) async throws {
    try await serve { path in
      let client = RawClient(at: path)!
      client.send(request.utf8)
      client.finishSending()
      let answer = client.answer()
      #expect(answer.map { 400..<500 ~= $0.status } ?? true, "\(String(describing: answer))")
    }
  }

  @Test func randomOctetsAreAnswered() async throws {
    try await serve { path in
      var seed = Seed(20)
      for _ in 0..<200 {
        let client = RawClient(at: path)!
        client.send(
          (0..<Int.random(in: 0...400, using: &seed)).map { _ in
            UInt8.random(in: 0...255, using: &seed)
          })
        client.finishSending()
        #expect(client.readToEnd() != nil)
      }
    }
  }

  @Test(arguments: [
    "", "G", "GET /v1/services HTTP/1.1\r\n",
    "POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[]",
  ])
  func halfARequestAndThenNothingEnds(half: String) async throws {
    try await serve(limits: .init(requestTime: .milliseconds(200))) { path in
      let client = RawClient(at: path)!
      client.send(half.utf8)
      #expect(client.answer()?.status == 408)
      let closing = RawClient(at: path)!
      closing.send(half.utf8)
      closing.finishSending()
      #expect(closing.readToEnd() != nil)
    }
  }

  /// One octet at a time does not keep a connection either.
  @Test func aTrickleEnds() async throws {
    try await serve(limits: .init(requestTime: .milliseconds(200))) { path in
      let client = RawClient(at: path)!
      let start = ContinuousClock.now
      for octet in Array("GET /v1/services HTTP/1.1\r\n".utf8) {
        guard client.send([octet]) else { break }
        usleep(20_000)
      }
      #expect(client.answer()?.status == 408)
      #expect(ContinuousClock.now - start < .seconds(5))
    }
  }

  @Test func hugeBodiesAreRefusedAsTheyCome() async throws {
    try await serve { path in
      let part = String(repeating: " ", count: 1 << 16)
      let plain = RawClient(at: path)!
      plain.send(
        "POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n".utf8)
      for _ in 0..<1000 where !plain.send(part.utf8) { break }
      #expect(plain.answer()?.status == 413)
      let chunked = RawClient(at: path)!
      chunked.send(
        "POST /v1/commands HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
      for _ in 0..<1000 where !chunked.send("10000\r\n\(part)\r\n".utf8) { break }
      #expect(chunked.answer()?.status == 413)
    }
  }

  @Test func aClientThatNeverReadsIsCutOff() async throws {
    try await AdminDesk.serve(limits: .init(answerTime: .milliseconds(200))) { desk in
      let services = (1...2000).map { "-A -t 192.168.1.149:\($0) -s rr\n" }.joined()
      #expect(await desk.ipvsadm(["-R"], input: services) == .init())
      let path = desk.socketPath
      await onThread {
        let whole = RawClient.get("/v1/services", at: path)!.content
        // More than a Unix socket holds unread.
        #expect(whole.count > 400_000)
        let client = RawClient(at: path)!
        client.send("GET /v1/services HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
        client.waitForAnswer()
        usleep(600_000)
        #expect(client.answer()!.content.count < whole.count)
      }
      #expect(await desk.ipvsadm("-D -t 192.168.1.149:1").exitCode == 0)
    }
  }

  @Test func tooManyClientsAreTurnedAway() async throws {
    let limits = ClientLimits(requestTime: .seconds(2), connections: 3)
    try await AdminDesk.serve(limits: limits) { desk in
      let path = desk.socketPath
      await onThread {
        let first = RawClient(at: path)!
        let second = RawClient(at: path)!
        let third = RawClient(at: path)!
        #expect(RawClient.get("/v1/timeouts", at: path)?.status == 503)
        // That one's place is free again; three who say nothing take all of its kind, and the next
        // one waits until the time of one of them is over.
        usleep(200_000)
        let fourth = RawClient(at: path)!
        let fifth = RawClient(at: path)!
        let sixth = RawClient(at: path)!
        let seventh = RawClient.get("/v1/timeouts", at: path)?.status
        #expect(seventh == 200 || seventh == 503)
        #expect(first.answer()?.status == 408)
        #expect(second.answer()?.status == 408)
        #expect(third.answer()?.status == 408)
        #expect(fourth.answer()?.status == 408)
        #expect(fifth.answer()?.status == 408)
        #expect(sixth.answer()?.status == 408)
        var status: Int?
        for _ in 0..<100 where status != 200 {
          usleep(20_000)
          status = RawClient.get("/v1/timeouts", at: path)?.status
        }
        #expect(status == 200)
      }
    }
  }

  @Test func onlyTheFirstRequestOfAConnectionIsHeard() async throws {
    try await AdminDesk.serve { desk in
      let path = desk.socketPath
      let answer = await onThread {
        let client = RawClient(at: path)!
        client.send("GET /v1/timeouts HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
        client.send("DELETE /v1/services HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
        return client.readToEnd()
      }
      let text = String(decoding: answer ?? Data(), as: UTF8.self)
      #expect(text.components(separatedBy: "HTTP/1.1 ").count == 2)
      #expect(text.contains("Connection: close"))
    }
  }

  /// A request that has come in is answered before the server goes.
  @Test func stoppingServesWhoIsThere() async throws {
    let plane = try InProcessPlane()
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let path = temporarySocketPath()
    let serving = await served { opened in
      AdminServer(
        director: Director(plane: plane, neighbors: StatedNeighbors.site(), logger: logger),
        socketPath: path, logger: logger, opened: opened)
    }
    let status = await onThread {
      let client = RawClient(at: path)!
      client.send("GET /v1/timeouts HTTP/1.1\r\n".utf8)
      usleep(50_000)
      serving.cancel()
      usleep(50_000)
      client.send("Host: x\r\n\r\n".utf8)
      return client.answer()?.status
    }
    #expect(status == 200)
    try await serving.value
    #expect(RawClient.get("/v1/timeouts", at: path) == nil)
  }

  /// The socket's mode keeps others out; where it is changed, `SO_PEERCRED` does.
  @Test(.requires(.root, .commands("setpriv", "curl")))
  func otherUsersAreTurnedAway() async throws {
    try await AdminDesk.serve { desk in
      let path = desk.socketPath
      #expect(await status(as: 65534, of: path) == "000")
      #expect(chmod(path, 0o666) == 0)
      #expect(await status(as: 65534, of: path) == "403")
      #expect(await status(as: 0, of: path) == "200")
    }
  }

  /// The HTTP status that a user gets from the director, `000` if none.
  private func status(as user: uid_t, of path: String) async -> String {
    await onThread {
      let process = Process()
      process.executableURL = URL(filePath: "/usr/bin/setpriv")
      process.arguments = [
        "--reuid=\(user)", "--clear-groups", "curl", "--silent", "--output", "/dev/null",
        "--write-out", "%{http_code}", "--max-time", "60", "--unix-socket", path,
        "http://martinet/v1/timeouts",
      ]
      let output = Pipe()
      process.standardOutput = output
      do { try process.run() } catch { return "\(error)" }
      let octets = output.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      return String(decoding: octets, as: UTF8.self)
    }
  }
}
