// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// Tables that are flooded: who yields to whom, and what is counted.
@Suite struct OverloadTests {
  private static let families = [PacketCaseTests.web, PacketCaseTests.webIPv6]

  private func segment(
    _ packet: PacketBuilder, _ port: UInt16, _ flags: TCPFlags = .syn
  ) -> PacketBuilder {
    packet.with {
      $0.sourcePort = Port(port)
      $0.tcpFlags = flags
    }
  }

  /// Client ports of the connections that the tables list.
  private func listed(_ desk: ForwarderDesk) -> Set<UInt16> {
    Set(desk.connections.map(\.clientPort.rawValue))
  }

  /// A desk of two lines per family, filled by SYNs a tenth of a second apart; the last port.
  private func full(_ packet: PacketBuilder) throws -> (desk: ForwarderDesk, last: UInt16) {
    let desk = try ForwarderDesk(entries: 8)
    try desk.adopt(.site())
    // A line holds four IPv4 or two IPv6 connections; an IPv6 table of eight has two pairs.
    var port: UInt16 = 0
    while desk.view.unrecorded == 0 {
      port += 1
      _ = desk.forward(segment(packet, port))
      desk.advance(seconds: 0.1)
    }
    return (desk, port)
  }

  @Test func aHalfOpenConnectionYieldsAfterThreeSeconds() throws {
    let (desk, last) = try full(PacketCaseTests.web)
    #expect(listed(desk) == Set(1...8) && last == 9)
    // The first SYN is now 0.9 s old; the second one comes again.
    _ = desk.forward(segment(PacketCaseTests.web, 2))
    desk.advance(seconds: 2)
    _ = desk.forward(segment(PacketCaseTests.web, 100))
    #expect(desk.view.unrecorded == 2 && desk.view.evictions.total == 0)
    desk.advance(seconds: 0.2)
    _ = desk.forward(segment(PacketCaseTests.web, 101))
    #expect(listed(desk) == Set(2...8).union([101]), "the oldest went")
    _ = desk.forward(segment(PacketCaseTests.web, 102))
    #expect(desk.view.unrecorded == 3, "the second oldest sent its SYN again")
    desk.advance(seconds: 5)
    _ = desk.forward(segment(PacketCaseTests.web, 103))
    #expect(listed(desk).contains(103) && !listed(desk).contains(3))
    #expect(desk.view.evictions.counts == [1, 1, 0, 0, 0], "3.1 s, and 7.9 s of silence")
    #expect(desk.view.ipv4Connections == 8 && desk.view.expired == 0)
    let counted = (1...2).map { desk.view.statistics(of: RealServerIndex(rawValue: $0)).active }
    #expect(counted.reduce(0, +) == 8)
  }

  @Test(arguments: families) func establishedConnectionsNeverYield(_ packet: PacketBuilder) throws {
    let desk = try ForwarderDesk(entries: 8)
    try desk.adopt(.site())
    var chosen: [UInt16: UInt8] = [:]
    for port in UInt16(1)...40 where desk.view.unrecorded == 0 {
      chosen[port] = desk.forward(segment(packet, port)).frame[5]
      _ = desk.forward(segment(packet, port, .ack))
    }
    for port in UInt16(100)..<400 {
      desk.advance(seconds: 0.5)
      #expect(desk.forward(segment(packet, port)).verdict == .forward(0))
    }
    for (port, realServer) in chosen {
      #expect(desk.forward(segment(packet, port, .ack)).frame[5] == realServer)
    }
    #expect(desk.view.ipv4Connections + desk.view.ipv6Connections <= 8)
  }

  /// Neither a segment of a connection without a record nor an RST takes anyone's place; a
  /// datagram does.
  @Test func onlyWhatBeginsAConnectionEvicts() throws {
    let (desk, _) = try full(PacketCaseTests.web)
    desk.advance(seconds: 10)
    _ = desk.forward(segment(PacketCaseTests.web, 100, .ack))
    _ = desk.forward(segment(PacketCaseTests.web, 101, .rst))
    #expect(desk.view.evictions.total == 0)
    _ = desk.forward(PacketCaseTests.dns)
    #expect(desk.view.evictions.total == 1)
  }

  /// A SYN flood of spoofed sources over a minute of the clock, six times as many as there is room:
  /// who was there keeps its real server, who comes is recorded.
  @Test(arguments: families) func aFloodLeavesClientsAlone(_ packet: PacketBuilder) throws {
    var chance = Seed(7)
    let desk = try ForwarderDesk(entries: 1024)
    try desk.adopt(.site())
    var chosen: [UInt16: UInt8] = [:]
    for port in UInt16(1)...100 {
      chosen[port] = desk.forward(segment(packet, port)).frame[5]
      _ = desk.forward(segment(packet, port, .ack))
    }
    let residents = listed(desk)
    #expect(residents.count >= 98, "an even hash leaves nearly all of them room")
    var newcomers: Set<UInt16> = []
    for turn in 0..<600 {
      let flood = (0..<10).map { _ in spoofed(packet, &chance).frame }
      #expect(desk.forward(flood).allSatisfy { $0.verdict == .forward(0) })
      desk.advance(seconds: 0.1)
      desk.forwarder.sweep(now: desk.now)
      guard turn.isMultiple(of: 6) else { continue }
      let port = UInt16(1000 + turn)
      let realServer = desk.forward(segment(packet, port)).frame[5]
      #expect(desk.forward(segment(packet, port, .ack)).frame[5] == realServer)
      newcomers.insert(port)
    }
    let kept = listed(desk)
    #expect(kept.isSuperset(of: residents))
    let recorded = kept.intersection(newcomers).count
    // Poisson: a pair of lines has 8 places (IPv6: 4) for some 3 (1.5) live records at a time.
    #expect(recorded >= 85, "of 100")
    for port in residents {
      #expect(desk.forward(segment(packet, port, .ack)).frame[5] == chosen[port])
    }
    #expect(desk.view.evictions.total > 1000)
    let occupied = desk.view.ipv4Connections + desk.view.ipv6Connections
    #expect(occupied <= 1024)
    let counted = (1...6).map { desk.view.statistics(of: RealServerIndex(rawValue: $0)) }
    #expect(counted.reduce(0) { $0 + UInt64($1.active + $1.inactive) } == occupied)
  }

  private func spoofed(_ packet: PacketBuilder, _ chance: inout Seed) -> PacketBuilder {
    packet.with {
      if case .v4 = packet.source {
        let client = UInt32.random(in: 0x0b00_0000...0x7e00_0000, using: &chance)
        $0.source = .v4(IPv4Address(rawValue: client))
      } else {
        $0.source = .v6(IPv6Address(high: 0x2001_0db8_0000_0000, low: chance.next() | 2))
      }
      // Apart from those of the clients, so that a listing tells them.
      $0.sourcePort = Port(.random(in: 10_000...65_535, using: &chance))
    }
  }

  /// Down, quiesced or overloaded ones get no new connection, whether it is recorded or not; but
  /// `lblc` records one without asking whether the one that its destination has is overloaded.
  @Test(arguments: Scheduler.allCases)
  func noNewConnectionGoesWhereNoneMay(_ scheduler: Scheduler) throws {
    let seed = UInt64.random(in: 0..<1 << 32)
    var chance = Seed(seed)
    let desk = try ForwarderDesk(entries: 8, seed: seed)
    var port: UInt16 = 0
    for revision in UInt32(1)...60 {
      var site = SnapshotSpecification.site(scheduler: scheduler)
      site.services = [site.services[0]]
      site.services[0].revision = revision
      site.services[0].realServers = (UInt8(1)...4).map { number in
        var realServer = SnapshotSpecification.RealServer.number(
          number, weight: .random(in: 0...2, using: &chance),
          isResolved: Int.random(in: 0..<4, using: &chance) > 0)
        realServer.upperThreshold = [0, 0, 1, 3 as UInt32].randomElement(using: &chance)!
        return realServer
      }
      try desk.adopt(site)
      for _ in 0..<20 {
        port += 1
        let loads = site.services[0].realServers.map { desk.view.statistics(of: $0.index) }
        let unrecorded = desk.view.unrecorded
        let result = desk.forward(segment(PacketCaseTests.web, port))
        guard result.verdict.isForward else { continue }
        let number = Int(result.frame[5])
        let chosen = site.services[0].realServers[number - 1]
        let load = loads[number - 1].active + loads[number - 1].inactive
        #expect(chosen.weight > 0 && chosen.isResolved, "\(scheduler), seed \(seed)")
        let mayOverload = scheduler == .lblc && desk.view.unrecorded == unrecorded
        #expect(
          chosen.upperThreshold == 0 || load < chosen.upperThreshold || mayOverload,
          "\(scheduler), seed \(seed)")
      }
      desk.advance(seconds: [0.1, 1, 70].randomElement(using: &chance)!)
      desk.forwarder.sweep(now: desk.now)
    }
    #expect(desk.view.unrecorded > 0, "\(scheduler), seed \(seed)")
  }
}
