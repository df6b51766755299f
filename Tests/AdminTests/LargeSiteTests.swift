// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import DataPlane
import Foundation
import TestSupport
import Testing

@testable import AdminServer
@testable import ControlPlane

/// A site of 10 000 services with 10 000 real servers, from its file to its listing and back.
@Suite struct LargeSiteTests {
  #if DEBUG
    private static let count = 1000
    private static let bound = Duration.seconds(600)
  #else
    private static let count = 10_000
    /// Ten times what it takes on an idle machine, and a tenth of what it takes where something
    /// looks at all services for each service.
    private static let bound = Duration.seconds(20)
  #endif

  private static func vip(_ number: Int) -> String { "10.1.\(number / 250).\(number % 250 + 1)" }
  private static func rip(_ number: Int) -> String { "10.2.\(number / 250).\(number % 250 + 1)" }

  private static func yaml(weight: Int = 1) -> String {
    let services = (0..<count).map { number in
      """
      - vip: \(vip(number))
        protocol: tcp
        port: 80
        scheduler: rr
        real-servers:
        - {address: \(rip(number)), weight: \(number == 7 ? weight : 1)}

      """
    }
    return "interface: {name: lan0}\nservices:\n" + services.joined()
  }

  private static func neighbors() -> StatedNeighbors {
    StatedNeighbors(
      Dictionary(
        uniqueKeysWithValues: (0..<count).map { number in
          (
            IPAddress(rip(number))!,
            Neighbor(
              macAddress: MACAddress(rawValue: 0x0200_0000_0000 | UInt64(number)), isResolved: true)
          )
        }))
  }

  private func timed<Result>(
    _ name: String, isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
  ) async rethrows -> Result {
    let start = monotonicTime()
    let result = try await body()
    let duration = monotonicTime() - start
    print("\(Self.count) services, \(name): \(duration / .seconds(1)) s")
    #expect(duration < Self.bound, "\(name)")
    return result
  }

  @Test func itIsLoadedListedChangedAndRestored() async throws {
    let (before, after) = (Self.yaml(), Self.yaml(weight: 9))
    let site = try await timed("read") { try SiteConfiguration(yaml: before) }
    let edited = try SiteConfiguration(yaml: after)
    var rules = ""
    try await AdminDesk.serve(neighbors: Self.neighbors()) { desk in
      try await timed("in use") {
        try await desk.director.apply(site)
        try await desk.director.settle()
      }
      #expect(desk.plane.opened.count == Self.count)
      for number in [0, Self.count / 2, Self.count - 1] {
        let syn = PacketBuilder(from: "192.0.2.9", to: IPAddress(Self.vip(number))!.description)
        let forwarded = desk.plane.desks[0].forward(syn)
        #expect(forwarded.verdict.isForward, "\(number)")
        #expect(
          forwarded.frame[..<6].elementsEqual([2, 0, 0, 0, UInt8(number >> 8), UInt8(number & 255)])
        )
      }
      let listing = await timed("-Ln") { await desk.ipvsadm("-L -n").output }
      #expect(listing.split(separator: "\n").count == 3 + 2 * Self.count)
      rules = await timed("-Sn") { await desk.ipvsadm("-S -n").output }
      #expect(rules.split(separator: "\n").count == 2 * Self.count)
      let figures = await timed("/metrics") { await desk.director.metrics() }
      #expect(figures.utf8.count < 2000 * Self.count)
      let changes = await timed("difference") { edited.changes(from: site) }
      #expect(changes.count == 1 && changes.first?.details == ["weight 1 -> 9"])
      var heavier = site
      for place in heavier.tables.indices { heavier.tables[place].realServers[0].weight = 2 }
      let all = await timed("difference of all weights") { heavier.changes(from: site) }
      #expect(all.count == Self.count && all.allSatisfy { $0.details == ["weight 1 -> 2"] })
      let generation = await desk.director.snapshotGeneration
      try await timed("one change") {
        try await desk.director.apply(edited)
        try await desk.director.settle()
      }
      #expect(await desk.director.snapshotGeneration == generation + 1)
      #expect(
        await desk.ipvsadm("-S -n").output
          == rules.replacing("\(Self.rip(7)):80 -g -w 1\n", with: "\(Self.rip(7)):80 -g -w 9\n"))
    }
    try await AdminDesk.serve(neighbors: Self.neighbors()) { desk in
      let text = rules
      let outcome = await timed("-R") { await desk.ipvsadm(["-R"], input: text) }
      #expect(outcome == AdminDesk.Outcome())
      #expect(await desk.ipvsadm("-S -n").output == rules)
      // One table for the workers, however many requests brought it.
      #expect(await desk.director.snapshotGeneration == 1)
    }
  }

  @Test func tablesAreTheSameAfterTheirRows() throws {
    let key = VirtualServiceKey.web
    let counters = Counters(connections: 1, inPackets: .max, inBytes: 3)
    let realServer = RealServerReport(
      realServer: RealServerAddress(address: IPAddress("192.168.1.151")!, port: Port(80)),
      weight: 2, thresholds: ConnectionThresholds(upper: 9, lower: 4), activeConnections: 5,
      inactiveConnections: 6, persistentConnections: 7, isResolved: true,
      macAddress: .realServer(1),
      health: HealthReport(isUp: false, isMember: true, effectiveWeight: 3, isSorryServer: true),
      drain: .draining, statistics: counters, rates: counters)
    let silent = RealServerReport(
      realServer: realServer.realServer, weight: 0, isResolved: false, macAddress: nil)
    var policy = ServicePolicy(for: .tcp)
    (policy.removal, policy.timeToLive) = (.purge, .decrement)
    let table = TableReport(
      connectionCapacity: 1 << 20,
      services: [
        ServiceReport(
          service: key, scheduler: .mh, flags: [.fallback, .port],
          persistence: Persistence(timeoutSeconds: 300, mask: IPAddress("255.255.255.0")!),
          isOnePacket: true, policy: policy, hasQuorum: false, statistics: counters,
          rates: counters, realServers: [realServer, silent]),
        ServiceReport(
          service: VirtualServiceKey(mark: FirewallMark(rawValue: 7), isIPv6: true),
          scheduler: .wlc, persistence: Persistence(timeoutSeconds: 1)),
        ServiceReport(service: .webIPv6, scheduler: .maglev, realServers: [silent]),
      ])
    let rows = table.rows
    #expect(TableReport(rows: rows) == table)
    #expect(TableReport(rows: []) == nil)
    for end in rows.indices where rows[end] != UInt8(ascii: "\n") {
      let part = Array(rows[..<end])
      if let read = TableReport(rows: part) { #expect(read != table) }
    }
  }
}
