// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import ControlPlane

/// What a drain makes of connections and of the clock, through real forwarders.
@Suite struct DrainTests {
  private static let second = RealServerConfiguration.number(2)
  private static let rst = syn(1).with { $0.tcpFlags = .rst }

  /// Two real servers, of which .152 has the established connection of port 1.
  private func desk() async throws -> Desk {
    let desk = try Desk()
    try await desk.addWeb()
    #expect(desk.destination(syn(1)) == .realServer(2))
    #expect(desk.destination(ack(1)) == .realServer(2))
    return desk
  }

  private func drain(_ desk: Desk, seconds: Int? = nil, _ end: ServicePolicy.Removal = .keep)
    async throws
  {
    try await desk.director.drain(
      Self.second.address, deadline: seconds.map { .seconds($0) }, end: end)
    try await desk.director.settle()
  }

  @Test func keepsItsConnectionsAndTakesNone() async throws {
    let desk = try await desk()
    try await drain(desk)
    for port in UInt16(2)...5 { #expect(desk.destination(syn(port)) == .realServer(1)) }
    #expect(desk.destination(ack(1)) == .realServer(2))
    let listed = try #require(try await desk.web().realServers.first)
    #expect(listed.configuration.weight == 1 && listed.effectiveWeight == 0)
    desk.advance(seconds: 7)
    let status = try #require(await desk.director.drains().first)
    #expect(status.service == .web && status.realServer == Self.second)
    #expect(status.phase == .draining && status.connections == 1)
    #expect(status.initialConnections == 1 && status.elapsedSeconds == 7)
    #expect(status.secondsToDeadline == nil && status.secondsToEmpty == nil)
    try await desk.director.cancelDrain(of: Self.second.address)
    try await desk.director.settle()
    #expect(await desk.director.drains().isEmpty)
    #expect(desk.destination(syn(6)) == .realServer(2))
  }

  /// At 3 of 4 left after 10 s, the pace is one in 10 s.
  @Test func tellsWhenItWillBeEmptyAndWhenItIs() async throws {
    let desk = try Desk()
    try await desk.addWeb(realServers: 2...2)
    for port in UInt16(1)...4 {
      for packet in [syn(port), ack(port)] { _ = desk.destination(packet) }
    }
    try await drain(desk)
    _ = desk.destination(Self.rst)
    for _ in 0..<2 { desk.plane.sweepAll() }
    desk.advance(seconds: 10)
    let status = try #require(await desk.director.drains().first)
    #expect(status.connections == 3 && status.initialConnections == 4)
    #expect(status.secondsToEmpty == 30)
    for port in UInt16(2)...4 { _ = desk.destination(syn(port).with { $0.tcpFlags = .rst }) }
    for _ in 0..<2 { desk.plane.sweepAll() }
    await desk.director.housekeep()
    #expect(await desk.director.drains().map(\.phase) == [.empty])
  }

  /// Of two connections of one worker and one of another, in each of two services.
  @Test func tellsHowOldTheOldestIs() async throws {
    let desk = try Desk(workers: 2)
    try await desk.addWeb(realServers: 2...2)
    let present = desk.plane.desks[0].now
    /// Begun so many seconds ago.
    func open(_ port: UInt16, ago: UInt32, worker: Int) {
      desk.plane.desks[worker].now = present.advanced(byMilliseconds: 0 &- ago * 1000)
      for packet in [syn(port), ack(port)] {
        #expect(desk.destination(packet, worker: worker) == .realServer(2))
      }
    }
    for (port, ago, worker) in [(1, 20, 0), (2, 60, 0), (3, 200, 1)] as [(UInt16, UInt32, Int)] {
      open(port, ago: ago, worker: worker)
    }
    try await drain(desk)
    func oldest() async -> UInt64? { await desk.director.drains().first?.oldestSeconds }
    let most = try #require(await oldest())
    #expect(
      (190...230).contains(most), "200 s, of which 8.2 s may be lost, and the test's own time")
    desk.plane.desks[1].now = present
    _ = desk.destination(syn(3).with { $0.tcpFlags = .rst }, worker: 1)
    desk.plane.desks[1].advance(seconds: 11)
    desk.plane.desks[1].sweepAll()
    await desk.director.housekeep()
    #expect(try (50...90).contains(#require(await oldest())), "that has ended")
    desk.plane.sweepAll()
    try await desk.director.cancelDrain(of: Self.second.address)
    try await desk.director.settle()
    await desk.director.housekeep()
    try await drain(desk)
    #expect(try (50...90).contains(#require(await oldest())), "a drain that begins anew")
  }

  /// Where the tables are larger than a look takes at once, nothing is said before its end.
  @Test func looksThroughLargeTablesByParts() throws {
    let plane = try InProcessPlane(workers: 3, entries: 1 << 18)
    let records = plane.views.reduce(0) { $0 + $1.records }
    var watch = DrainWatch()
    let desk = plane.desks[2]
    try desk.adopt(.site())
    _ = desk.forward(syn(1))
    let index = try #require(desk.connections.first).realServer
    let now = desk.now.advanced(byMilliseconds: 50_000)
    var looks = 0
    repeat {
      #expect(watch.oldestMilliseconds.isEmpty)
      watch.look(at: plane.views, for: [index, RealServerIndex(rawValue: 999)], now: now)
      looks += 1
    } while looks * DrainWatch.recordLimit < records
    #expect(looks > 1)
    #expect(Array(watch.oldestMilliseconds.keys) == [index])
    #expect((41_000...50_000).contains(watch.oldestMilliseconds[index] ?? 0))
    watch.look(at: plane.views, for: [], now: now)
    #expect(watch.oldestMilliseconds.isEmpty)
  }

  @Test(arguments: ServicePolicy.Removal.allCases)
  func theDeadlinesEnd(_ end: ServicePolicy.Removal) async throws {
    let desk = try await desk()
    try await drain(desk, seconds: 60, end)
    desk.advance(seconds: 59)
    await desk.director.housekeep()
    #expect(await desk.director.drains().map(\.secondsToDeadline) == [1])
    #expect(desk.destination(ack(1)) == .realServer(2), "not yet")
    desk.advance(seconds: 1)
    await desk.director.housekeep()
    switch end {
    case .keep: #expect(desk.destination(ack(1)) == .realServer(2))
    case .purge: #expect(desk.plane.forward(ack(1)).verdict.answer == .reset)
    case .rehash: #expect(desk.destination(ack(1)) == .realServer(1))
    }
    desk.plane.sweepAll()
    let status = try #require(await desk.director.drains().first)
    #expect(status.phase == (end == .keep ? .draining : .ended))
    #expect(status.connections == (end == .keep ? 1 : 0))
    #expect(desk.destination(syn(2)) == .realServer(1), "it still takes none")
    try await desk.director.cancelDrain(of: Self.second.address, in: .web)
    try await desk.director.settle()
    #expect(desk.destination(syn(3)) == .realServer(2))
  }

  /// A reload that changes nothing of it, or only its weight, lets it drain; removal ends it.
  @Test func outlivesAReload() async throws {
    let desk = try await desk()
    try await drain(desk)
    var site = SiteConfiguration(ports: [PortConfiguration(interface: "lan0")])
    site.tables = [
      .init(
        service: ServiceConfiguration(key: .web, scheduler: .rr),
        realServers: [.number(1), .number(2, weight: 5)])
    ]
    try await desk.director.apply(site)
    try await desk.director.settle()
    #expect(await desk.director.drains().map(\.realServer.weight) == [5])
    #expect(desk.destination(syn(2)) == .realServer(1))
    try await desk.director.deleteRealServer(Self.second.address, port: Port(80), from: .web)
    try await desk.director.addRealServer(Self.second, to: .web)
    try await desk.director.settle()
    #expect(await desk.director.drains().isEmpty)
    #expect(desk.destination(syn(3)) == .realServer(2))
  }

  @Test func drainsInOneServiceOrInAll() async throws {
    let desk = try await desk()
    let other = VirtualServiceKey(
      address: IPAddress("192.168.1.149")!, ipProtocol: .tcp, port: Port(8080))
    try await desk.director.addService(ServiceConfiguration(key: other, scheduler: .rr))
    try await desk.director.addRealServer(
      RealServerConfiguration(address: Self.second.address, port: Port(8080)), to: other)
    try await desk.director.drain(Self.second.address, in: other)
    #expect(await desk.director.drains().map(\.service) == [other])
    try await desk.director.drain(Self.second.address)
    #expect(await desk.director.drains().map(\.service) == [.web, other])
    try await desk.director.cancelDrain(of: Self.second.address)
    #expect(await desk.director.drains().isEmpty)
  }

  @Test func whatIsNoneOfItIsRefused() async throws {
    let desk = try await desk()
    let stranger = IPAddress("192.168.1.159")!
    await #expect(throws: DirectorError.unknownRealServer(stranger)) {
      try await desk.director.drain(stranger)
    }
    await #expect(throws: DirectorError.noSuchRealServer(stranger, .web)) {
      try await desk.director.drain(stranger, in: .web)
    }
    await #expect(throws: DirectorError.noSuchService(.dns)) {
      try await desk.director.drain(Self.second.address, in: .dns)
    }
    await #expect(throws: DirectorError.notDraining(Self.second.address)) {
      try await desk.director.cancelDrain(of: Self.second.address)
    }
    #expect(await desk.director.drains().isEmpty)
  }
}
