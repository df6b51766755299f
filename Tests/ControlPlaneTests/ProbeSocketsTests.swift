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

  /// Of a datagram socket that was given back nothing is left, what comes late reaches nobody, and
  /// one that hears something all the same is not reported for ever.
  @Test func datagramSocketsAreAsNew() throws {
    let server = try DatagramPeer()
    let poller = try #require(Poller())
    let sockets = ProbeSockets(poller: poller)
    let socket = try #require(sockets.take(.datagram, to: localhost, for: 1))
    var octet: UInt8 = 0
    for _ in 1...3 {
      #expect(socket.connect(to: localhost, server.port) == 0)
      #expect(send(socket.descriptor, "?", 1, 0) == 1)
      let client = try #require(server.receive())
      for _ in 1...3 { server.send(to: client) }
      #expect(recv(socket.descriptor, &octet, 1, Int32(MSG_PEEK)) == 1)
      sockets.giveBack(socket)
      server.send(to: client)
      let again = try #require(sockets.take(.datagram, to: localhost, for: 1))
      #expect(again === socket)
      #expect(again.connect(to: localhost, server.port) == 0)
      #expect(recv(again.descriptor, &octet, 1, 0) == -1 && errno == EAGAIN)
    }
    sockets.giveBack(socket)
    #expect(socket.connect(to: localhost, server.port) == 0)
    #expect(send(socket.descriptor, "?", 1, 0) == 1)
    server.send(to: try #require(server.receive()))
    var reports: [Poller.Report] = []
    poller.wait(10_000, &reports)
    #expect(reports.map { sockets.token(reportedAs: $0.token) } == [nil])
    let other = try #require(sockets.take(.datagram, to: localhost, for: 2))
    #expect(other !== socket)
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

/// A UDP socket on loopback that answers when it is told to.
private final class DatagramPeer {
  let port: Port
  private let descriptor: Int32

  init() throws {
    descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    let isBound = withUnsafeMutablePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
      }
    }
    guard isBound else { throw SystemError(call: "bind", errno: errno) }
    port = Port(UInt16(bigEndian: name.sin_port))
  }

  deinit { close(descriptor) }

  /// From which port the next datagram comes.
  func receive() -> Port? {
    var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&wanted, 1, 10_000) == 1 else { return nil }
    var name = sockaddr_in()
    var (size, octet) = (socklen_t(MemoryLayout<sockaddr_in>.size), UInt8(0))
    let count = withUnsafeMutablePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        recvfrom(descriptor, &octet, 1, 0, $0, &size)
      }
    }
    return count == 1 ? Port(UInt16(bigEndian: name.sin_port)) : nil
  }

  func send(to client: Port) {
    _ = IPAddress("127.0.0.1")!.withSocketAddress(client) {
      sendto(descriptor, "!", 1, 0, $0, $1)
    }
  }
}
