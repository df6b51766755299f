// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import ControlPlane

@Suite struct IndexPoolTests {
  @Test func aNumberRestsUntilItIsSwept() throws {
    var pool = IndexPool<String>(limit: 2)
    #expect(pool.take("a") == 1)
    #expect(pool.take("b") == 2)
    #expect(pool.take("c") == nil)
    pool.release("a", now: .seconds(10))
    #expect(pool.take("c") == nil)
    let early = pool.retire(now: .seconds(129))
    #expect(!early)
    #expect(Array(pool.removedIndices) == [1])
    let due = pool.retire(now: .seconds(130))
    #expect(due)
    #expect(Array(pool.retiredIndices) == [1])
    // No snapshot has told the workers yet.
    #expect(pool.reclaim(sweptGeneration: 99).isEmpty)
    pool.publish(generation: 7)
    #expect(pool.reclaim(sweptGeneration: 6).isEmpty)
    #expect(pool.take("c") == nil)
    #expect(pool.reclaim(sweptGeneration: 7) == [1])
    #expect(pool.take("c") == 1)
  }

  @Test func theSameKeyGetsItsNumberBack() {
    var pool = IndexPool<String>(limit: 2)
    _ = pool.take("a")
    _ = pool.take("b")
    pool.release("a", now: .zero)
    pool.release("b", now: .zero)
    #expect(pool.take("b") == 2)
    #expect(pool.take("a") == 1)
    #expect(Array(pool.removedIndices).isEmpty)
  }

  @Test func anotherKeyDoesNotGetARetiredNumber() {
    var pool = IndexPool<String>(limit: 2)
    _ = pool.take("a")
    pool.release("a", now: .zero)
    _ = pool.retire(now: .seconds(120))
    #expect(pool.take("a") == 2)
  }

  /// LVS's trash: a real server that comes back in time finds its connections.
  @Test func connectionsGoOnWhenTheirRealServerIsAddedAgain() async throws {
    let desk = try Desk()
    try await desk.addWeb(realServers: 1...1)
    #expect(desk.destination(syn(1)) == .realServer(1))
    #expect(desk.destination(ack(1)) == .realServer(1))
    let realServer = RealServerConfiguration.number(1)
    try await desk.director.deleteRealServer(realServer.address, port: Port(80), from: .web)
    try await desk.director.settle()
    #expect(desk.plane.forward(ack(1)).verdict == .drop(.realServerRemoved))
    desk.advance(seconds: 100)
    await desk.director.housekeep()
    try await desk.director.addRealServer(realServer, to: .web)
    try await desk.director.settle()
    #expect(desk.destination(ack(1)) == .realServer(1))
    #expect(try await desk.web().realServers[0].statistics.connections == 1)
  }

  @Test func connectionsGoOnWhenTheirServiceIsAddedAgain() async throws {
    let desk = try Desk()
    try await desk.addWeb()
    let destination = desk.destination(syn(1))
    await desk.director.clear()
    try await desk.director.settle()
    try await desk.addWeb()
    #expect(desk.destination(ack(1)) == destination)
    #expect(try await desk.web().statistics.connections == 0)
  }
}
