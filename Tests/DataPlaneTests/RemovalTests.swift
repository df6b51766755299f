// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// What the removal policies make of connections whose real server is gone.
@Suite struct RemovalTests {
  typealias Removal = ServicePolicy.Removal
  private static let syn = PacketCaseTests.web
  private static let ack = syn.with { $0.tcpFlags = .ack }
  private static let query = PacketCaseTests.dns

  /// Without the real server that came first in each list.
  private func site(
    _ removal: Removal, stray: ServicePolicy.Stray = .reset, gone: Bool, leaves: Int = 1,
    as retirement: SnapshotSpecification.Retirement = .removed
  ) -> SnapshotSpecification {
    var site = SnapshotSpecification.site {
      $0.removal = removal
      $0.stray = stray
    }
    guard gone else { return site }
    for service in site.services.indices {
      for realServer in site.services[service].realServers.dropLast(leaves) {
        site.retirements[realServer.index] = retirement
      }
      site.services[service].realServers = site.services[service].realServers.suffix(leaves)
      site.services[service].revision = 2
    }
    return site
  }

  /// An established connection, an IPv6 one and a UDP flow, all on real servers that go then.
  private func desk(
    _ removal: Removal, stray: ServicePolicy.Stray = .reset, leaves: Int = 1,
    as retirement: SnapshotSpecification.Retirement = .removed
  ) throws -> ForwarderDesk {
    let desk = try ForwarderDesk()
    try desk.adopt(site(removal, stray: stray, gone: false))
    #expect(desk.forward(Self.syn).frame[5] == 2)
    #expect(desk.forward(Self.ack).frame[5] == 2)
    #expect(desk.forward(PacketCaseTests.webIPv6).frame[5] == 4)
    #expect(desk.forward(Self.query).frame[5] == 6)
    try desk.adopt(site(removal, stray: stray, gone: true, leaves: leaves, as: retirement))
    return desk
  }

  @Test func defaults() {
    #expect(ServicePolicy(for: .tcp).removal == .keep)
    #expect(ServicePolicy(for: .udp).removal == .rehash)
  }

  /// `expire_nodest_conn` 0.
  @Test func keep() throws {
    let desk = try desk(.keep)
    #expect(desk.forward(Self.ack).verdict == .drop(.realServerRemoved))
    #expect(desk.forward(Self.query).verdict == .drop(.realServerRemoved))
    desk.sweepAll()
    #expect(desk.view.ipv4Connections == 2)
    try desk.adopt(site(.keep, gone: false))
    #expect(desk.forward(Self.ack).frame[5] == 2)
    #expect(desk.forward(Self.query).frame[5] == 6)
  }

  /// `expire_nodest_conn` 1: a segment is one of no connection, a datagram begins a new one.
  @Test func purge() throws {
    let desk = try desk(.purge)
    #expect(desk.forward(Self.ack).verdict.answer == .reset)
    #expect(desk.forward(Self.query).frame[5] == 5)
    desk.sweepAll()
    #expect((desk.view.ipv4Connections, desk.view.ipv6Connections) == (1, 0))
    #expect(desk.view.statistics(of: RealServerIndex(rawValue: 2)).active == 0)
    try desk.adopt(site(.purge, gone: false))
    #expect(desk.forward(Self.ack).verdict.answer == .reset, "it does not come back")
    #expect(desk.forward(Self.query).frame[5] == 5)
  }

  @Test func purgeWithSloppyTCP() throws {
    let desk = try desk(.purge, stray: .schedule)
    #expect(desk.forward(Self.ack).frame[5] == 1)
    #expect(desk.view.statistics(of: RealServerIndex(rawValue: 1)).active == 1)
  }

  @Test func rehash() throws {
    let desk = try desk(.rehash)
    let rst = Self.ack.with { $0.tcpFlags = .rst }
    #expect(desk.forward(rst).verdict == .drop(.realServerRemoved))
    #expect(desk.forward(Self.ack).frame[5] == 1)
    #expect(desk.forward(Self.ack).frame[5] == 1)
    #expect(desk.forward(Self.query).frame[5] == 5)
    #expect(desk.view.rescheduled == 2)
    let counted = (1...2).map { desk.view.statistics(of: RealServerIndex(rawValue: $0)) }
    #expect(counted.map(\.active) == [1, 0])
    #expect(counted.map(\.connections) == [1, 1])
    try desk.adopt(site(.rehash, gone: false))
    #expect(desk.forward(Self.ack).frame[5] == 1, "it stays where it went")
  }

  /// Where no other is left: port unreachable, and nothing is forgotten.
  @Test func rehashWithoutAnother() throws {
    let desk = try desk(.rehash, leaves: 0)
    #expect(desk.forward(Self.ack).verdict.answer == .portUnreachable)
    #expect(desk.forward(Self.query).verdict.answer == .portUnreachable)
    try desk.adopt(site(.rehash, gone: false))
    #expect(desk.forward(Self.ack).frame[5] == 2)
  }

  /// The field's loudest complaint: whatever the policy, a first SYN is never dropped or delayed.
  @Test(arguments: Removal.allCases) func aSYNIsScheduledAtOnce(_ removal: Removal) throws {
    let desk = try desk(removal)
    #expect(desk.forward(Self.syn).frame[5] == 1)
    #expect(desk.forward(Self.ack).frame[5] == 1)
  }

  /// What a drain's deadline brings goes before the service's policy.
  @Test(arguments: Removal.allCases) func purgedByADrain(_ removal: Removal) throws {
    let desk = try desk(removal, as: .purged)
    #expect(desk.forward(Self.ack).verdict.answer == .reset)
    desk.sweepAll()
    #expect((desk.view.ipv4Connections, desk.view.ipv6Connections) == (0, 0))
    #expect(desk.forward(Self.syn).frame[5] == 1)
  }

  @Test(arguments: Removal.allCases) func rehashedByADrain(_ removal: Removal) throws {
    let desk = try desk(removal, as: .rehashed)
    #expect(desk.forward(Self.ack).frame[5] == 1)
    desk.sweepAll()
    #expect(desk.view.ipv6Connections == 1, "it has not been used since")
    #expect(desk.forward(PacketCaseTests.webIPv6).frame[5] == 3)
  }

  /// A policy of another service is not this one's.
  @Test func isEachServicesOwn() throws {
    let desk = try desk(.keep)
    var site = site(.keep, gone: true)
    site.services[1].policy.removal = .purge
    try desk.adopt(site)
    desk.sweepAll()
    #expect((desk.view.ipv4Connections, desk.view.ipv6Connections) == (2, 0))
  }
}
