// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// ICMP errors go to the real server of the connection they quote (RFC 1122 §3.2.2: to whoever
/// sent the packet), and change nothing there.
@Suite struct ICMPErrorTests {
  static let web = PacketCaseTests.web
  static let webIPv6 = PacketCaseTests.webIPv6
  static let kinds: [(PacketBuilder, SideTraffic)] = [
    (error(3, code: 1), .icmpUnreachable),
    (error(3, code: 4, word: 1400), .icmpFragmentationNeeded),
    (error(4), .icmpSourceQuench),
    (error(11, code: 1), .icmpTimeExceeded),
    (error(12, word: 20 << 24), .icmpParameterProblem),
    (error(3, octets: 28), .icmpUnreachable),
    (error6(1, code: 4), .icmpv6Unreachable),
    (error6(2, word: 1280), .icmpv6PacketTooBig),
    (error6(3), .icmpv6TimeExceeded),
    (error6(4, code: 1, word: 40), .icmpv6ParameterProblem),
    (error6(127), .icmpv6Other),
  ]

  private static func error(
    _ type: UInt8, code: UInt8 = 0, word: UInt32 = 0, octets: Int = 548
  ) -> PacketBuilder {
    web.answer.icmpError(from: "172.16.0.9", type: type, code: code, word: word, octets: octets)
  }

  private static func error6(_ type: UInt8, code: UInt8 = 0, word: UInt32 = 0) -> PacketBuilder {
    webIPv6.answer.icmpError(from: "2001:db8:9::1", type: type, code: code, word: word)
  }

  @Test(arguments: kinds) func reachesTheRealServer(
    _ error: PacketBuilder, _ kind: SideTraffic
  ) throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    // Another connection first, so that the one quoted is not the scheduler's next choice.
    for packet in [Self.web, Self.webIPv6] {
      _ = desk.forward(packet.with { $0.sourcePort = Port(39999) })
      _ = desk.forward(packet)
    }
    let result = desk.forward(error)
    #expect(result.verdict == .forward(0))
    let realServer: UInt8 = error.ipProtocol == .icmp ? 1 : 3
    #expect(
      result.frame
        == MACAddress.realServer(realServer).octets + MACAddress.director.octets
        + error.frame[12...])
    for other in SideTraffic.allCases {
      #expect(desk.view.count(of: other) == (other == kind ? 1 : 0))
    }
    let statistics = desk.view.statistics(of: RealServerIndex(rawValue: UInt16(realServer)))
    #expect(statistics.packets == 2 && statistics.connections == 1)
  }

  /// RFC 4443 §2.1: errors are the types below 128. Of IPv4 four of RFC 792 that quote a packet of
  /// the connection; the fifth, redirect, is for the director's own table.
  @Test func everyTypeAndWhatItCountsAs() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    for packet in [Self.web, Self.webIPv6] { _ = desk.forward(packet) }
    let named6: [UInt8: SideTraffic] = [
      1: .icmpv6Unreachable, 2: .icmpv6PacketTooBig, 3: .icmpv6TimeExceeded,
      4: .icmpv6ParameterProblem,
    ]
    let named4: [UInt8: SideTraffic] = [
      3: .icmpUnreachable, 4: .icmpSourceQuench, 11: .icmpTimeExceeded, 12: .icmpParameterProblem,
    ]
    for type in UInt8.min...UInt8.max {
      for (error, kind) in [
        (Self.error(type), named4[type]),
        (Self.error6(type), type < 128 ? named6[type] ?? .icmpv6Other : nil),
      ] {
        let before = SideTraffic.allCases.map { desk.view.count(of: $0) }
        let verdict = desk.forward(error).verdict
        #expect(verdict == (kind == nil ? .drop(.unknownProtocol) : .forward(0)), "\(type)")
        let counted = zip(SideTraffic.allCases, before).filter { desk.view.count(of: $0) != $1 }
        #expect(counted.map(\.0) == (kind.map { [$0] } ?? []), "\(type)")
      }
    }
  }

  @Test func theConnectionIsNotRefreshed() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    _ = desk.forward(Self.web)
    desk.advance(seconds: 59)
    #expect(desk.forward(Self.kinds[0].0).verdict.isForward)
    desk.advance(seconds: 2)
    // SYN_RECV is kept for 60 seconds, ip_vs_proto_tcp.c.
    #expect(desk.forward(Self.kinds[0].0).verdict == .drop(.icmpUnmatched))
  }

  /// RSS takes an error's own addresses, so it comes to any worker.
  @Test func anotherWorkersConnectionIsFound() throws {
    let (owner, other) = (try ForwarderDesk(), try ForwarderDesk())
    for desk in [owner, other] { try desk.adopt(.site()) }
    other.forwarder.join([owner.view])
    #expect(other.forward(Self.kinds[0].0).verdict == .drop(.icmpUnmatched))
    for packet in [Self.web, Self.webIPv6] { _ = owner.forward(packet) }
    for (error, _) in Self.kinds {
      let result = other.forward(error)
      let realServer: UInt8 = error.ipProtocol == .icmp ? 2 : 4
      #expect(result.frame.starts(with: MACAddress.realServer(realServer).octets))
    }
    #expect(other.view.ipv4Connections == 0 && other.view.ipv6Connections == 0)
  }

  static let unmatched: [(String, PacketBuilder, DropReason)] = [
    (
      "of another client",
      web.with { $0.sourcePort = Port(1) }.answer
        .icmpError(from: "172.16.0.9", type: 3), .icmpUnmatched
    ),
    (
      "of another VIP's port",
      web.with { $0.destinationPort = Port(81) }.answer
        .icmpError(from: "172.16.0.9", type: 3), .icmpUnmatched
    ),
    (
      "of a protocol without services",
      web.answer.with { $0.ipProtocol = IPProtocol(rawValue: 47) }
        .with { $0.payload = [0, 80, 0x9c, 0x40, 0, 0, 0, 0] }
        .icmpError(from: "172.16.0.9", type: 3), .icmpUnmatched
    ),
    (
      "of a later fragment, which has no ports",
      web.answer.with { $0.fragmentField = 0x0010 }
        .icmpError(from: "172.16.0.9", type: 11, code: 1), .icmpUnmatched
    ),
    (
      "to another address than the packet's source",
      web.answer
        .icmpError(from: "172.16.0.9", type: 3).with { $0.destination = IPAddress("192.168.1.7")! },
      .icmpUnmatched
    ),
    (
      "without the eight octets of RFC 792",
      web.answer
        .icmpError(from: "172.16.0.9", type: 3, octets: 27), .truncated
    ),
    (
      "with half a quoted header",
      web.answer
        .icmpError(from: "172.16.0.9", type: 3, octets: 19), .truncated
    ),
    (
      "without a quoted header",
      web.answer
        .icmpError(from: "172.16.0.9", type: 3, octets: 0), .truncated
    ),
    ("a redirect", web.answer.icmpError(from: "172.16.0.9", type: 5), .unknownProtocol),
    ("an echo reply", web.answer.icmpError(from: "172.16.0.9", type: 0), .unknownProtocol),
    (
      "IPv6 without a whole quoted header",
      webIPv6.answer
        .icmpError(from: "2001:db8:9::1", type: 2, octets: 39), .truncated
    ),
    (
      "IPv6 without ports",
      webIPv6.answer
        .icmpError(from: "2001:db8:9::1", type: 2, octets: 47), .truncated
    ),
    (
      "a neighbour solicitation",
      webIPv6.answer
        .icmpError(from: "2001:db8:9::1", type: 135), .unknownProtocol
    ),
    (
      "IPv6 of a later fragment",
      webIPv6.answer
        .with { $0.extensionHeaders = [(44, [0, 0, 0, 0xb9, 0, 0, 0, 9])] }
        .icmpError(from: "2001:db8:9::1", type: 3, code: 1), .icmpUnmatched
    ),
  ]

  @Test(arguments: unmatched) func isDroppedWithItsReason(
    _ says: String, _ error: PacketBuilder, _ reason: DropReason
  ) throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    for packet in [Self.web, Self.webIPv6] { _ = desk.forward(packet) }
    #expect(desk.forward(error).verdict == .drop(reason))
    #expect(desk.view.drops(reason) == 1)
  }

  /// The first fragment of an answer has the ports, behind options and a fragment header.
  @Test func quotesWithOptionsAndExtensionHeadersAreRead() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    for packet in [Self.web, Self.webIPv6] { _ = desk.forward(packet) }
    let quotes = [
      Self.web.answer.with {
        $0.options = [UInt8](repeating: 1, count: 40)
        $0.fragmentField = 0x2000
      }.icmpError(from: "172.16.0.9", type: 11, code: 1),
      Self.webIPv6.answer.with {
        $0.extensionHeaders = [(60, [0, 0, 1, 4, 0, 0, 0, 0]), (44, [0, 0, 0, 1, 0, 0, 0, 9])]
      }.icmpError(from: "2001:db8:9::1", type: 3, code: 1),
    ]
    for error in quotes { #expect(desk.forward(error).verdict == .forward(0)) }
  }

  @Test func aRemovedRealServerGetsNone() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    _ = desk.forward(Self.web)
    var site = SnapshotSpecification.site()
    site.services[0].realServers.removeFirst()
    site.retirements = [RealServerIndex(rawValue: 2): .removed]
    try desk.adopt(site)
    #expect(desk.forward(Self.kinds[0].0).verdict == .drop(.realServerRemoved))
  }
}
