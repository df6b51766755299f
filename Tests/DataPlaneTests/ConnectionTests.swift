// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// What becomes of connections: idle expiry, real servers that go, addresses that change, tables
/// that fill.
@Suite struct ConnectionTests {
  private static let syn = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149")
  private static let ack = syn.with { $0.tcpFlags = .ack }
  private static let fin = syn.with { $0.tcpFlags = [.fin, .ack] }
  private static let query = syn.with {
    $0.ipProtocol = .udp
    $0.destinationPort = Port(53)
  }

  /// The site with one thing changed in its first service and a new revision.
  private func site(
    revision: UInt32 = 2, _ change: (inout SnapshotSpecification) -> Void
  ) -> SnapshotSpecification {
    var specification = SnapshotSpecification.site()
    for index in specification.services.indices {
      specification.services[index].revision = revision
    }
    change(&specification)
    return specification
  }

  private func statistics(_ desk: ForwarderDesk, _ realServer: UInt16) -> RealServerStatistics {
    desk.view.statistics(of: RealServerIndex(rawValue: realServer))
  }

  @Test func anIdleConnectionIsForgottenAfterItsTimeout() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    _ = desk.forward(Self.syn)
    _ = desk.forward(Self.ack)
    desk.advance(seconds: 899.9)
    #expect(desk.forward(Self.ack).verdict == .forward(0))
    desk.advance(seconds: 900.1)
    #expect(desk.forward(Self.ack).verdict.answer == .reset)
  }

  @Test func theSweepFreesWhatHasExpired() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    _ = desk.forward(Self.syn)
    _ = desk.forward(Self.query)
    #expect(desk.view.ipv4Connections == 2)
    #expect((statistics(desk, 2).active, statistics(desk, 6).inactive) == (1, 1))
    desk.advance(seconds: 61)
    desk.sweepAll()
    #expect(desk.view.ipv4Connections == 1, "SYN_RECV is kept 60 s, UDP 300 s")
    #expect((statistics(desk, 2).active, statistics(desk, 6).inactive) == (0, 1))
    desk.advance(seconds: 300)
    desk.sweepAll()
    #expect(desk.view.ipv4Connections == 0)
    #expect(statistics(desk, 6).inactive == 0)
    #expect(desk.view.expired == 2)
  }

  /// The clock is 32 bits of milliseconds: a connection lives across its end.
  @Test func theClockMayWrap() throws {
    let desk = try ForwarderDesk(now: Tick(rawValue: .max - 5000))
    try desk.adopt(.site())
    _ = desk.forward(Self.syn)
    _ = desk.forward(Self.ack)
    desk.sweepAll()
    #expect(desk.now.rawValue < 10_000)
    #expect(desk.forward(Self.ack).verdict == .forward(0))
    desk.advance(seconds: 901)
    #expect(desk.forward(Self.ack).verdict.answer == .reset)
  }

  @Test func activeAndInactiveFollowTheState() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    for (packet, expected) in [(Self.syn, (1, 0)), (Self.ack, (1, 0)), (Self.fin, (0, 1))] {
      _ = desk.forward(packet)
      let counted = statistics(desk, 2)
      #expect((Int(counted.active), Int(counted.inactive)) == expected)
    }
    let all = statistics(desk, 2)
    #expect((all.connections, all.packets, all.bytes) == (1, 3, 3 * 40))
  }

  @Test func aChangedMACAddressReachesLiveConnectionsAtOnce() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    _ = desk.forward(Self.syn)
    try desk.adopt(
      site { $0.services[0].realServers[0].macAddress = MACAddress("02:aa:00:00:00:02") })
    let result = desk.forward(Self.ack)
    #expect(result.frame[0..<6] == MACAddress("02:aa:00:00:00:02")!.octets[...])
  }

  @Test func anUnresolvedRealServerKeepsItsConnectionsAndGetsNoNewOnes() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    _ = desk.forward(Self.syn)
    try desk.adopt(site { $0.services[0].realServers[0].isResolved = false })
    #expect(desk.forward(Self.ack).frame[5] == 2)
    for port in 2000..<2004 as Range<UInt16> {
      #expect(desk.forward(Self.syn.with { $0.sourcePort = Port(port) }).frame[5] == 1)
    }
  }

  @Test func aRealServerThatNeverResolvedIsCounted() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    _ = desk.forward(Self.syn)
    try desk.adopt(site { $0.services[0].realServers[0].macAddress = nil })
    #expect(desk.forward(Self.ack).verdict == .drop(.neighborUnresolved))
  }

  @Test func aDrainedRealServerKeepsItsConnections() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    _ = desk.forward(Self.syn)
    try desk.adopt(site { $0.services[0].realServers[0].weight = 0 })
    #expect(desk.forward(Self.ack).frame[5] == 2)
  }

  /// kubernetes#70747 and its kin: the first SYN of a reused port is never dropped or delayed.
  @Test(arguments: ["finWait", "timeWait", "close", "drained", "removed"])
  func aSynMaySchedule(anew why: String) throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    #expect(desk.forward(Self.syn).frame[5] == 2)
    // `tcp_states`: SYN_RECV and FIN.
    if why != "timeWait" { _ = desk.forward(Self.ack) }
    switch why {
    case "finWait", "timeWait": _ = desk.forward(Self.fin)
    case "close": _ = desk.forward(Self.syn.with { $0.tcpFlags = .rst })
    case "drained": try desk.adopt(site { $0.services[0].realServers[0].weight = 0 })
    default:
      try desk.adopt(
        site {
          $0.services[0].realServers.removeFirst()
          $0.retirements[RealServerIndex(rawValue: 2)] = .removed
        })
    }
    #expect(desk.forward(Self.syn).frame[5] == 1)
    #expect(desk.forward(Self.ack).frame[5] == 1)
    #expect(desk.view.rescheduled == 1)
    #expect(desk.view.ipv4Connections == 1)
    #expect(statistics(desk, 2).active + statistics(desk, 2).inactive == 0)
    #expect(statistics(desk, 1).active == 1)
  }

  /// A retransmitted SYN of a connection that is being opened stays where the first one went.
  @Test func aRepeatedSynStays() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    #expect(desk.forward(Self.syn).frame[5] == 2)
    #expect(desk.forward(Self.syn).frame[5] == 2)
    #expect(statistics(desk, 2).connections == 1)
  }

  /// The only real server is drained while a handshake is under way: its SYN may come again.
  @Test func aRepeatedSynStaysWhereThereIsNoOther() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(site(revision: 1) { $0.services[0].realServers.removeLast() })
    #expect(desk.forward(Self.syn).frame[5] == 2)
    try desk.adopt(
      site {
        $0.services[0].realServers.removeLast()
        $0.services[0].realServers[0].weight = 0
      })
    #expect(desk.forward(Self.syn).frame[5] == 2)
    #expect(desk.forward(Self.ack).frame[5] == 2)
  }

  /// LVS drops segments of a removed real server until it is added again (expire_nodest_conn 0).
  @Test func aRemovedRealServersConnectionsRestAndGoOnWhenItReturns() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    _ = desk.forward(Self.syn)
    _ = desk.forward(Self.ack)
    try desk.adopt(
      site {
        $0.services[0].realServers.removeFirst()
        $0.retirements[RealServerIndex(rawValue: 2)] = .removed
      })
    #expect(desk.forward(Self.ack).verdict == .drop(.realServerRemoved))
    try desk.adopt(site(revision: 3) { _ in })
    #expect(desk.forward(Self.ack).frame[5] == 2)
  }

  /// kubernetes#76664: a talker's datagrams do not follow a removed real server into the dark.
  @Test func aDatagramLeavesARemovedRealServerAtOnce() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    #expect(desk.forward(Self.query).frame[5] == 6)
    try desk.adopt(
      site {
        $0.services[2].realServers.removeFirst()
        $0.retirements[RealServerIndex(rawValue: 6)] = .removed
      })
    #expect(desk.forward(Self.query).frame[5] == 5)
    #expect(desk.forward(Self.query).frame[5] == 5)
  }

  @Test func theSweepClearsARetiredIndex() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    _ = desk.forward(Self.syn)
    _ = desk.forward(Self.ack)
    try desk.adopt(
      site {
        $0.services[0].realServers.removeFirst()
        $0.retirements[RealServerIndex(rawValue: 2)] = .retired
      })
    #expect(desk.view.adoptedGeneration == 2)
    #expect(desk.view.sweptGeneration < 2)
    desk.sweepAll()
    #expect(desk.view.sweptGeneration == 2)
    #expect(desk.view.ipv4Connections == 0)
  }

  @Test func aRemovedServiceIsCounted() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    _ = desk.forward(Self.syn)
    try desk.adopt(site { $0.services.removeFirst() })
    #expect(desk.forward(Self.ack).verdict == .drop(.noService))
  }

  /// A table of eight entries under 500 clients: forwarding goes on by hash, the same way for all
  /// packets of a client, and memory stays what it is.
  @Test(arguments: [PacketBuilder(from: "10.0.0.1", to: "192.168.1.149"),
    PacketBuilder(from: "2001:db8:1::1", to: "2001:db8::149")])
  func aFullTableForwardsByHash(_ packet: PacketBuilder) throws {
    let desk = try ForwarderDesk(entries: 8)
    try desk.adopt(.site())
    var chosen: [UInt16: UInt8] = [:]
    for port in 1000..<1500 as Range<UInt16> {
      let result = desk.forward(packet.with { $0.sourcePort = Port(port) })
      #expect(result.verdict == .forward(0))
      chosen[port] = result.frame[5]
    }
    #expect(desk.view.ipv4Connections + desk.view.ipv6Connections <= 8)
    #expect(desk.view.unrecorded >= 492)
    for port in 1000..<1500 as Range<UInt16> {
      let result = desk.forward(
        packet.with {
          $0.sourcePort = Port(port)
          $0.tcpFlags = .ack
        })
      #expect(result.frame[5] == chosen[port])
    }
    #expect(Set(chosen.values).count == 2, "both real servers are used")
  }

  /// Both families, tags and garbage in one batch: each frame gets its own verdict.
  @Test func aMixedBatchKeepsItsOrder() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    let batch: [([UInt8], Verdict)] = [
      (Self.ack.with { $0.tcpFlags = .rst }.frame, .drop(.noConnection)),
      (PacketBuilder(from: "2001:db8:1::1", to: "2001:db8::149").frame, .forward(0)),
      (Self.syn.frame, .forward(0)), (Self.ack.frame, .forward(0)),
      ([1, 2, 3], .drop(.truncated)),
      (Self.syn.with { $0.vlanTags = [(.vlan, 7)]; $0.sourcePort = Port(9) }.frame, .forward(0)),
      (Self.query.frame, .forward(0)),
    ]
    #expect(desk.forward(batch.map(\.0)).map(\.verdict) == batch.map(\.1))
  }
}
