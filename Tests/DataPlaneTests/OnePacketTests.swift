// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// `ipvsadm -o`: `IP_VS_CONN_F_ONE_PACKET` of the kernel's ip_vs_core.c.
@Suite struct OnePacketTests {
  private static let query = PacketCaseTests.dns
  private static let syn = PacketCaseTests.web

  private func site(revision: UInt32 = 1) -> SnapshotSpecification {
    var site = SnapshotSpecification.site()
    for service in site.services.indices {
      site.services[service].isOnePacket = true
      site.services[service].revision = revision
    }
    return site
  }

  private func realServers(_ desk: ForwarderDesk, _ count: Int) -> [UInt8] {
    desk.forward(Array(repeating: Self.query.frame, count: count)).map {
      $0.verdict.isForward ? $0.frame[5] : 0
    }
  }

  @Test func everyDatagramOfAClientIsScheduled() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(site())
    #expect(realServers(desk, 6) == [6, 5, 6, 5, 6, 5])
    #expect(desk.view.ipv4Connections == 0, "no record is left")
    for number in [5, 6] as [UInt16] {
      let counted = desk.view.statistics(of: RealServerIndex(rawValue: number))
      #expect((counted.connections, counted.packets) == (3, 3), "each is a connection")
      #expect((counted.active, counted.inactive) == (0, 0))
    }
  }

  @Test func tcpHasNone() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(site())
    #expect(desk.forward(Self.syn).frame[5] == 2)
    #expect(desk.forward(Self.syn.with { $0.tcpFlags = .ack }).frame[5] == 2)
    #expect(desk.view.ipv4Connections == 1)
  }

  /// `ip_vs_conn_in_get` finds a record that is there; nothing renews it when its time is over.
  @Test func aRecordFromBeforeIsFollowedUntilItExpires() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    #expect(realServers(desk, 2) == [6, 6])
    try desk.adopt(site(revision: 2))
    #expect(realServers(desk, 2) == [6, 6])
    desk.advance(seconds: 301)
    #expect(Set(realServers(desk, 4)) == [5, 6])
    desk.sweepAll()
    #expect(desk.view.ipv4Connections == 0)
    #expect(desk.view.statistics(of: RealServerIndex(rawValue: 6)).inactive == 0)
  }

  @Test func aFullTableDoesNotMatter() throws {
    let desk = try ForwarderDesk(entries: 8)
    var site = SnapshotSpecification.site()
    site.services[2].isOnePacket = true
    try desk.adopt(site)
    for port in 1000..<1100 as Range<UInt16> {
      _ = desk.forward(Self.syn.with { $0.sourcePort = Port(port) })
    }
    let unrecorded = desk.view.unrecorded
    #expect(realServers(desk, 4) == [6, 5, 6, 5])
    #expect(desk.view.unrecorded == unrecorded)
  }

  @Test func withoutARealServerTheClientIsTold() throws {
    let desk = try ForwarderDesk()
    var site = site()
    site.services[2].realServers = []
    try desk.adopt(site)
    #expect(desk.forward(Self.query).verdict.answerBytes > 0)
    #expect(desk.view.drops(.noRealServer) == 1)
  }

  /// The second fragment follows the first, not the next turn of the scheduler.
  @Test func fragmentsOfADatagramStayTogether() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(site())
    let frames = FragmentTests.dns.fragments(of: 1480, identification: 9)
    #expect(desk.forward(frames).map(\.frame[5]) == Array(repeating: 6, count: frames.count))
  }
}
