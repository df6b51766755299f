// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import ControlPlane

/// Sockets that serve one check after another.
@Suite struct ProbeSocketsTests {
  private let localhost = IPAddress("127.0.0.1")!

  private func connect(_ socket: ProbeSocket, _ port: UInt16) -> Int32 {
    let code = socket.connect(to: localhost, Port(port))
    guard code == EINPROGRESS else { return code }
    var wanted = pollfd(fd: socket.descriptor, events: Int16(POLLOUT), revents: 0)
    poll(&wanted, 1, 60_000)
    return socket.error
  }

  /// The one who took the connection sees a reset (RFC 9293 §3.5.2), the socket connects to
  /// another, and nothing that was not read is left in it.
  @Test func aSocketIsAsNew() throws {
    let resets = Mutex(0)
    let talking = try LoopbackServer { connection in
      connection.send("hello")
      connection.waitUntilClosed()
      if errno == ECONNRESET { resets.withLock { $0 += 1 } }
    }
    let silent = try LoopbackServer { $0.waitUntilClosed() }
    let sockets = ProbeSockets(poller: try #require(Poller()))
    let socket = try #require(sockets.take(.stream, to: localhost, for: 1))
    for round in 1...3 {
      #expect(connect(socket, talking.port) == 0)
      var octet: UInt8 = 0
      var wanted = pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)
      poll(&wanted, 1, 60_000)
      sockets.giveBack(socket)
      #expect(waitUntil { resets.withLock { $0 } == round })
      let again = try #require(sockets.take(.stream, to: localhost, for: 1))
      #expect(again === socket)
      #expect(connect(again, silent.port) == 0)
      #expect(recv(again.descriptor, &octet, 1, 0) == -1 && errno == EAGAIN)
      sockets.giveBack(again)
      #expect(try #require(sockets.take(.stream, to: localhost, for: 1)) === socket)
    }
  }

  /// What a refusal or an attempt under way has left is gone too.
  @Test func failuresLeaveNothing() throws {
    let server = try LoopbackServer { $0.waitUntilClosed() }
    let closed = try LoopbackServer { _ in }
    closed.stop()
    let sockets = ProbeSockets(poller: try #require(Poller()))
    let socket = try #require(sockets.take(.stream, to: localhost, for: 1))
    for _ in 1...3 {
      #expect(connect(socket, closed.port) == ECONNREFUSED)
      sockets.giveBack(socket)
      #expect(try #require(sockets.take(.stream, to: localhost, for: 1)) === socket)
      #expect(connect(socket, server.port) == 0)
      sockets.giveBack(socket)
      #expect(try #require(sockets.take(.stream, to: localhost, for: 1)) === socket)
    }
  }

  @Test func onlySoManyAreKept() throws {
    let sockets = ProbeSockets(poller: try #require(Poller()))
    let taken = try (0..<100).map { _ in try #require(sockets.take(.stream, to: localhost, for: 1))
    }
    for socket in taken { sockets.giveBack(socket) }
    let again = try (0..<100).map { _ in try #require(sockets.take(.stream, to: localhost, for: 1))
    }
    #expect(again.count { socket in taken.contains { $0 === socket } } == 64)
    // The other version has its own.
    sockets.giveBack(again[0])
    #expect(try #require(sockets.take(.stream, to: IPAddress("::1")!, for: 1)) !== again[0])
  }

  /// What the poller says of a socket is for the probe that has it, and for nobody once that has
  /// given it back, whatever the reset connection still has to say.
  @Test func reportsGoToWhoHasTheSocket() throws {
    let server = try LoopbackServer { connection in
      connection.send("hello")
      connection.waitUntilClosed()
    }
    let poller = try #require(Poller())
    let sockets = ProbeSockets(poller: poller)
    var reports: [Poller.Report] = []
    for token in UInt64(1)...3 {
      let socket = try #require(sockets.take(.stream, to: localhost, for: token))
      #expect(socket.connect(to: localhost, Port(server.port)) == EINPROGRESS)
      var readiness = Readiness()
      while !readiness.isReadable {
        poller.wait(60_000, &reports)
        #expect(reports.map { sockets.token(reportedAs: $0.token) } == [token])
        readiness = try #require(reports.first).readiness
        #expect(!readiness.hasFailed)
      }
      sockets.giveBack(socket)
      poller.wait(0, &reports)
      #expect(reports.allSatisfy { sockets.token(reportedAs: $0.token) == nil })
      // Said once, and not again.
      poller.wait(0, &reports)
      #expect(reports.isEmpty)
    }
    #expect(sockets.token(reportedAs: 7) == 7)
  }
}
