// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import ControlPlane

@Suite struct StatisticsTests {
  /// SYN without options: 40 octets of IP.
  @Test func sumsOverWorkersAndSurvivesRemoval() async throws {
    let desk = try Desk(workers: 2)
    try await desk.addWeb()
    for port in UInt16(1)...4 { _ = desk.destination(syn(port), worker: Int(port % 2)) }
    var web = try await desk.web()
    let all = Statistics(connections: 4, inPackets: 4, inBytes: 160)
    #expect(web.statistics == all)
    #expect(web.realServers.map(\.statistics.connections) == [2, 2])
    #expect(web.realServers.map(\.activeConnections) == [2, 2])
    let byWorker = { await desk.director.queues().map(\.forwarded.bytes) }
    #expect(await byWorker() == [80, 80])
    let removed = RealServerConfiguration.number(1)
    try await desk.director.deleteRealServer(removed.address, port: Port(80), from: .web)
    try await desk.director.settle()
    web = try await desk.web()
    #expect(web.statistics == all)
    // Until the number is free, and after.
    for _ in 0..<2 {
      desk.advance(seconds: 121)
      await desk.director.housekeep()
      desk.plane.sweepAll()
    }
    await desk.director.housekeep()
    #expect(try await desk.web().statistics == all)
    #expect(await byWorker() == [80, 80])
    // A new real server gets the old number, and none of the old figures.
    try await desk.director.addRealServer(.number(3), to: .web)
    web = try await desk.web()
    #expect(web.realServers[0].statistics == Statistics())
    #expect(web.statistics == all)
    // A worker's own go on, with a table that is smaller than it was too.
    try await desk.director.settle()
    _ = desk.destination(syn(5), worker: 1)
    #expect(await byWorker() == [80, 120])
    try await desk.director.deleteService(.web)
    for _ in 0..<2 {
      desk.advance(seconds: 121)
      await desk.director.housekeep()
      desk.plane.sweepAll()
    }
    #expect(await byWorker() == [80, 120])
  }

  /// ip_vs_est.c: of 200 SYNs of 40 octets in the first 2 s, 100 a second, a quarter is shown.
  @Test func queuesHaveRates() async throws {
    let desk = try Desk(workers: 2)
    try await desk.addWeb()
    #expect(await desk.director.queueRates() == [QueueRates(), QueueRates()])
    for port in UInt16(1)...200 {
      _ = desk.destination(syn(port), worker: 1)
      _ = desk.plane.forward(ack(port + 1000), worker: 0)
    }
    await desk.director.estimateRates()
    let rates = await desk.director.queueRates()
    #expect(rates[0].forwarded == Rates())
    #expect(rates[0].drops[.noConnection] == Rates(inPackets: 25, inBytes: 1500))
    #expect(rates[1].forwarded == Rates(connections: 25, inPackets: 25, inBytes: 1000))
    #expect(rates[1].drops.values.allSatisfy { $0 == Rates() })
  }

  @Test func zeroCountsAnew() async throws {
    let desk = try Desk()
    try await desk.addWeb(realServers: 1...1)
    _ = desk.destination(syn(1))
    try await desk.director.zero(.web)
    var web = try await desk.web()
    #expect(web.statistics == Statistics())
    #expect(web.realServers[0].statistics == Statistics())
    #expect(web.realServers[0].activeConnections == 1)
    _ = desk.destination(syn(2))
    web = try await desk.web()
    #expect(web.statistics == Statistics(connections: 1, inPackets: 1, inBytes: 40))
    #expect(web.realServers[0].statistics == web.statistics)
    try await desk.director.zero()
    #expect(try await desk.web().statistics == Statistics())
  }

  @Test func editKeepsCounters() async throws {
    let desk = try Desk()
    try await desk.addWeb(realServers: 1...1)
    _ = desk.destination(syn(1))
    try await desk.director.editRealServer(.number(1, weight: 0), of: .web)
    try await desk.director.settle()
    let web = try await desk.web()
    #expect(web.realServers[0].configuration.weight == 0)
    #expect(web.realServers[0].statistics.connections == 1)
    #expect(desk.plane.forward(syn(2)).verdict.dropReason == .noRealServer)
    #expect(desk.destination(ack(1)) == .realServer(1))
  }
}

@Suite struct RateEstimatorTests {
  /// The values of ip_vs_est.c, worked by hand: 1000 connections, 3000 packets and 120000 octets
  /// in each 2 s, i.e. 500, 1500 and 60000 a second, of which a quarter of the rest is taken.
  @Test func approachesAsTheKernel() {
    var estimator = RateEstimator()
    var total = Statistics()
    var shown: [Rates] = []
    for _ in 0..<3 {
      total = total + Statistics(connections: 1000, inPackets: 3000, inBytes: 120_000)
      estimator.tick(total)
      shown.append(estimator.rates)
    }
    // 500 * (1 - 0.75^n) = 125, 218.75, 289.06…; (x + 511) >> 10 and (x + 15) >> 5 drop a half.
    #expect(shown.map(\.connections) == [125, 219, 289])
    #expect(shown.map(\.inPackets) == [375, 656, 867])
    #expect(shown.map(\.inBytes) == [15000, 26250, 34687])
    for _ in 0..<100 { estimator.tick(total) }
    #expect(estimator.rates == Rates())
  }

  @Test func zeroForgetsTheAverageOnly() {
    var estimator = RateEstimator()
    estimator.tick(Statistics(connections: 1000))
    estimator.zero()
    #expect(estimator.rates == Rates())
    estimator.tick(Statistics(connections: 2000))
    #expect(estimator.rates.connections == 125)
  }
}
