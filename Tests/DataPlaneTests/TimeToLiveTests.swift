// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// The TTL policies: what changes in a frame is the TTL and its checksum, and a time that ends here
/// is told to the client.
@Suite struct TimeToLiveTests {
  static let web = PacketCaseTests.web
  static let webIPv6 = PacketCaseTests.webIPv6
  static let packets = [
    web, webIPv6, PacketCaseTests.dns, web.with { $0.vlanTags = [(.serviceVLAN, 1), (.vlan, 2)] },
    web.with { $0.options = [UInt8](repeating: 1, count: 8) },
  ]

  private func desk(_ policy: ServicePolicy.TimeToLive) throws -> ForwarderDesk {
    let desk = try ForwarderDesk()
    try desk.adopt(.site { $0.timeToLive = policy })
    return desk
  }

  /// Every TTL there is, of every kind of packet, against the frame built with the new one.
  @Test(arguments: packets) func isTakenFrom(_ packet: PacketBuilder) throws {
    let desk = try desk(.decrement)
    for timeToLive in UInt8(2)...255 {
      let frame = desk.forward(packet.with { $0.timeToLive = timeToLive })
      let expected = packet.with { $0.timeToLive = timeToLive - 1 }.frame
      #expect(frame.verdict == .forward(0))
      #expect(frame.frame[12...] == expected[12...], "\(timeToLive)")
    }
  }

  @Test(arguments: packets) func becomesOne(_ packet: PacketBuilder) throws {
    let desk = try desk(.one)
    let expected = packet.with { $0.timeToLive = 1 }.frame
    for timeToLive in UInt8(0)...255 {
      let frame = desk.forward(packet.with { $0.timeToLive = timeToLive })
      #expect(frame.frame[12...] == expected[12...], "\(timeToLive)")
    }
  }

  /// RFC 1624 §3: the example in which RFC 1141's equation is wrong by the sign of zero.
  @Test func theChecksumIsNeverNegativeZero() throws {
    let desk = try desk(.decrement)
    for identification in UInt16(0)...2000 {
      var frame = Self.web.frame
      frame.replaceSubrange(18..<20, with: bigEndian(identification &* 33))
      frame.replaceSubrange(24..<26, with: [0, 0])
      frame.replaceSubrange(24..<26, with: bigEndian(internetChecksum(Array(frame[14..<34]))))
      let header = Array(desk.forward([frame])[0].frame[14..<34])
      #expect(internetChecksum(header) == 0, "\(identification)")
    }
  }

  @Test(arguments: [UInt8(0), 1]) func endsHereOverIPv4(_ timeToLive: UInt8) throws {
    let desk = try desk(.decrement)
    let request = Self.web.with { ($0.timeToLive, $0.minimumBytes) = (timeToLive, 0) }.frame
    let result = desk.forward([request + [UInt8](repeating: 0, count: 200)])[0]
    #expect(result.verdict.answer == .timeExceeded)
    #expect(Int(result.verdict.answerBytes) == 14 + 28 + 40)
    let ip = Array(result.frame[14..<14 + 68])
    #expect(ip[8] == 64 && ip[9] == 1)
    #expect(ip[12..<16] == request[30..<34] && ip[16..<20] == request[26..<30])
    // RFC 792: time exceeded in transit, four unused octets, the packet as it came.
    #expect(Array(ip[20..<22]) == [11, 0] && Array(ip[24..<28]) == [0, 0, 0, 0])
    #expect(Array(ip[28...]) == Array(request[14...]))
    #expect(internetChecksum(Array(ip[20...])) == 0)
    #expect(desk.view.drops(.timeExceeded) == 1)
    #expect(desk.view.count(of: .timeExceeded) == 1)
    // `ip_vs_in_stats` comes before `packet_xmit`: LVS counts it, and remembers the connection.
    #expect(desk.view.statistics(of: RealServerIndex(rawValue: 2)).packets == 1)
    #expect(desk.view.ipv4Connections == 1)
  }

  @Test func endsHereOverIPv6() throws {
    let desk = try desk(.decrement)
    let request = Self.webIPv6.with { $0.timeToLive = 1 }.frame
    let result = desk.forward([request + [UInt8](repeating: 0, count: 200)])[0]
    #expect(result.verdict.answer == .timeExceeded)
    let ip = Array(result.frame[14..<Int(result.verdict.answerBytes)])
    // RFC 4443 §3.3: hop limit exceeded in transit.
    #expect(Array(ip[40..<42]) == [3, 0] && Array(ip[44..<48]) == [0, 0, 0, 0])
    #expect(Array(ip[48...]) == Array(request[14...]))
    let pseudo = ip[8..<40] + bigEndian(UInt32(ip.count - 40)) + [0, 0, 0, 58]
    #expect(internetChecksum(Array(pseudo + ip[40...])) == 0)
  }

  /// RFC 1122 §3.2.2: an error about an ICMP error, or about a later fragment, is never sent.
  @Test func whatMayNotBeAnsweredIsDropped() throws {
    let desk = try desk(.decrement)
    _ = desk.forward(Self.web)
    let error = Self.web.answer.icmpError(from: "10.9.9.9", type: 3, code: 4)
    let forwarded = desk.forward(error.with { $0.timeToLive = 7 })
    #expect(forwarded.frame[14 + 8] == 6)
    #expect(desk.forward(error.with { $0.timeToLive = 1 }).verdict == .drop(.timeExceeded))
    #expect(desk.view.count(of: .icmpFragmentationNeeded) == 1)

    let datagram = FragmentTests.dns
    let last = datagram.with { $0.timeToLive = 9 }.fragments(of: 1480, identification: 1)
    #expect(desk.forward([last[0]])[0].frame[14 + 8] == 8)
    #expect(desk.forward([last[1]])[0].frame[14 + 8] == 8)
    let dead = datagram.with { $0.timeToLive = 1 }.fragments(of: 1480, identification: 1)
    #expect(desk.forward([dead[1]])[0].verdict == .drop(.timeExceeded))
    #expect(desk.view.count(of: .timeExceeded) == 0)
  }

  /// A policy reaches live connections with the next snapshot, both ways.
  @Test func changesUnderALiveConnection() throws {
    let desk = try desk(.preserve)
    let ack = Self.web.with { $0.tcpFlags = .ack }
    #expect(desk.forward(Self.web).frame[22] == 64)
    try desk.adopt(.site { $0.timeToLive = .decrement })
    #expect(desk.forward(ack).frame[22] == 63)
    try desk.adopt(.site { $0.timeToLive = .one })
    #expect(desk.forward(ack).frame[22] == 1)
    try desk.adopt(.site())
    #expect(desk.forward(ack).frame[22] == 64)
    let counted = desk.view.statistics(of: RealServerIndex(rawValue: 2))
    #expect((counted.packets, counted.connections, counted.active) == (4, 1, 1))
  }
}
