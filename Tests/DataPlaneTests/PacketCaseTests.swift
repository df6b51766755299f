// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// One line of the specification of what a director does with a frame.
struct PacketCase: Sendable, CustomTestStringConvertible {
  var says: String
  var frame: [UInt8]
  var verdict: Verdict

  init(_ says: String, _ packet: PacketBuilder, _ verdict: Verdict) {
    self.init(says, packet.frame, verdict)
  }

  init(_ says: String, _ frame: [UInt8], _ verdict: Verdict) {
    self.says = says
    self.frame = frame
    self.verdict = verdict
  }

  var testDescription: String { says }
}

@Suite struct PacketCaseTests {
  static let web = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149")
  static let webIPv6 = PacketBuilder(from: "2001:db8:1::1", to: "2001:db8::149")
  static let dns = web.with {
    $0.ipProtocol = .udp
    $0.destinationPort = Port(53)
  }
  private static let customerTag: (EtherType, UInt16) = (.vlan, 0x6064)
  private static let serviceTag: (EtherType, UInt16) = (.serviceVLAN, 0x0007)

  static let forwarded = [
    PacketCase("a SYN to a TCP service", web, .forward(0)),
    PacketCase("a datagram to a UDP service", dns, .forward(0)),
    PacketCase("a SYN over IPv6", webIPv6, .forward(0)),
    PacketCase("one 802.1Q tag", web.with { $0.vlanTags = [customerTag] }, .forward(0)),
    PacketCase("a service and a customer tag", web.with { $0.vlanTags = [serviceTag, customerTag] },
      .forward(0)),
    PacketCase("IPv6 under two tags",
      webIPv6.with { $0.vlanTags = [customerTag, customerTag] }, .forward(0)),
    PacketCase("IPv4 options up to the greatest IHL",
      web.with { $0.options = [UInt8](repeating: 1, count: 40) }, .forward(0)),
    PacketCase("the first fragment", web.with { $0.fragmentField = 0x2000 }, .forward(0)),
    PacketCase("the first fragment over IPv6",
      webIPv6.with { $0.extensionHeaders = [(44, [0, 0, 0, 1, 0, 0, 0, 9])] }, .forward(0)),
    PacketCase("an atomic fragment (RFC 6946)",
      webIPv6.with { $0.extensionHeaders = [(44, [0, 0, 0, 0, 0, 0, 0, 9])] }, .forward(0)),
    PacketCase("DF clear", web.with { $0.fragmentField = 0 }, .forward(0)),
    PacketCase("TTL 1, which is preserved", web.with { $0.timeToLive = 1 }, .forward(0)),
    PacketCase("SYN with FIN, where SYN counts", web.with { $0.tcpFlags = [.syn, .fin] },
      .forward(0)),
    PacketCase("hop-by-hop options before TCP",
      webIPv6.with { $0.extensionHeaders = [(0, [0, 0, 1, 4, 0, 0, 0, 0])] }, .forward(0)),
    PacketCase("routing and destination options before TCP",
      webIPv6.with {
        $0.extensionHeaders = [
          (43, [0, 0, 0, 0, 0, 0, 0, 0]), (60, [0, 1] + [UInt8](repeating: 1, count: 14)),
        ]
      }, .forward(0)),
    PacketCase(
      "eight extension headers",
      webIPv6.with {
        $0.extensionHeaders = .init(repeating: (60, [0, 0, 1, 4, 0, 0, 0, 0]), count: 8)
      }, .forward(0)),
    PacketCase(
      "a payload of 1400 octets", web.with { $0.payload = .init(repeating: 7, count: 1400) },
      .forward(0)),
  ]

  static let held = [
    PacketCase("a later fragment", web.with { $0.fragmentField = 0x00b9 }, .hold),
    PacketCase("a later fragment over IPv6",
      webIPv6.with { $0.extensionHeaders = [(44, [0, 0, 0, 0xb9, 0, 0, 0, 9])] }, .hold),
  ]

  static let dropped = [
    PacketCase("no octets at all", [], .drop(.truncated)),
    PacketCase("an Ethernet header alone", Array(web.frame[0..<14]), .drop(.truncated)),
    PacketCase("ARP", web.destinationMAC.octets + web.sourceMAC.octets + [8, 6]
      + [UInt8](repeating: 0, count: 46), .drop(.notIP)),
    PacketCase("three VLAN tags",
      web.with { $0.vlanTags = [customerTag, customerTag, customerTag] }, .drop(.notIP)),
    PacketCase("version 5 under the IPv4 type", patched(web, 14, 0x55), .drop(.badHeader)),
    PacketCase("version 4 under the IPv6 type", patched(webIPv6, 14, 0x40), .drop(.badHeader)),
    PacketCase("IHL of four words", patched(web, 14, 0x44), .drop(.badHeader)),
    PacketCase("total length below the header", patched(web, 17, 19), .drop(.badHeader)),
    PacketCase("total length beyond the frame", patched(web, 16, 4), .drop(.truncated)),
    PacketCase("total length that cuts the TCP header", patched(web, 17, 39), .drop(.truncated)),
    PacketCase("IHL that leaves no room for TCP", patched(web, 14, 0x4a), .drop(.truncated)),
    PacketCase("IPv6 payload beyond the frame", patched(webIPv6, 18, 1), .drop(.truncated)),
    PacketCase("IPv6 payload that cuts the TCP header", patched(webIPv6, 19, 19),
      .drop(.truncated)),
    PacketCase("a later fragment of another protocol",
      web.with {
        $0.fragmentField = 0x00b9
        $0.ipProtocol = IPProtocol(rawValue: 50)
      }, .drop(.unknownProtocol)),
    PacketCase("a first fragment of another protocol",
      web.with {
        $0.fragmentField = 0x2000
        $0.ipProtocol = .icmp
        $0.payload = [3, 4, 0, 0, 0, 0, 0, 0]
      }, .drop(.unknownProtocol)),
    PacketCase("a first fragment without the TCP flags", cut(web, 0x2000, to: 28),
      .drop(.tinyFragment)),
    PacketCase("a TCP fragment over the flags (RFC 3128)", cut(web, 0x2001, to: 40),
      .drop(.tinyFragment)),
    PacketCase("a first fragment to no service",
      web.with {
        $0.fragmentField = 0x2000
        $0.destinationPort = Port(81)
      }, .drop(.noService)),
    PacketCase("a fragment header that is cut",
      webIPv6.with {
        $0.ipProtocol = IPProtocol(rawValue: 44)
        $0.payload = [6, 0, 0, 1]
      }, .drop(.truncated)),
    PacketCase("ICMP", web.with { $0.ipProtocol = .icmp; $0.payload = [8, 0, 0, 0, 0, 0, 0, 0] },
      .drop(.unknownProtocol)),
    PacketCase("no next header", webIPv6.with { $0.ipProtocol = IPProtocol(rawValue: 59) },
      .drop(.unknownProtocol)),
    PacketCase("an extension header longer than the packet",
      webIPv6.with { $0.extensionHeaders = [(0, [0, 200, 0, 0, 0, 0, 0, 0])] },
      .drop(.truncated)),
    PacketCase("nine extension headers",
      webIPv6.with {
        $0.extensionHeaders = .init(repeating: (60, [0, 0, 1, 4, 0, 0, 0, 0]), count: 9)
      }, .drop(.badHeader)),
    PacketCase("another port of the VIP", web.with { $0.destinationPort = Port(81) },
      .drop(.noService)),
    PacketCase("UDP to a TCP service's port", web.with { $0.ipProtocol = .udp },
      .drop(.noService)),
    PacketCase("another address", PacketBuilder(from: "10.0.0.1", to: "192.168.1.1"),
      .drop(.noService)),
    PacketCase("an ACK without connection", web.with { $0.tcpFlags = .ack },
      .drop(.noConnection)),
    PacketCase("a FIN without connection", web.with { $0.tcpFlags = [.fin, .ack] },
      .drop(.noConnection)),
    PacketCase("SYN with RST, where RST counts", web.with { $0.tcpFlags = [.syn, .rst] },
      .drop(.noConnection)),
    PacketCase("no flags at all", web.with { $0.tcpFlags = [] }, .drop(.noConnection)),
  ]

  /// With another fragment field and total length.
  private static func cut(_ packet: PacketBuilder, _ field: UInt16, to ipBytes: UInt8) -> [UInt8] {
    patched(packet.with { $0.fragmentField = field }, 17, ipBytes)
  }

  private static func patched(_ packet: PacketBuilder, _ offset: Int, _ octet: UInt8) -> [UInt8] {
    var frame = packet.frame
    frame[offset] = octet
    return frame
  }

  @Test(arguments: forwarded + held + dropped) func verdict(_ packetCase: PacketCase) throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site { $0.stray = .drop })
    let result = desk.forward([packetCase.frame])[0]
    #expect(result.verdict == packetCase.verdict)
    if packetCase.verdict.isForward {
      #expect(result.frame[6..<12] == MACAddress.director.octets[...])
      #expect(result.frame[12...] == packetCase.frame[12...], "only the MAC addresses change")
    } else {
      #expect(result.frame == packetCase.frame, "no other frame is touched")
    }
    for reason in DropReason.allCases {
      let isIt = packetCase.verdict == .drop(reason)
      #expect(desk.view.drops(reason) == (isIt ? 1 : 0))
      #expect(desk.view.dropBytes(reason) == (isIt ? UInt64(packetCase.frame.count) : 0))
    }
  }

  /// Without padding every octet up to the end of the TCP header is needed.
  @Test(arguments: [web, webIPv6, dns, web.with { $0.vlanTags = [serviceTag, customerTag] }])
  func everyTruncationIsCounted(_ packet: PacketBuilder) throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    let frame = packet.with { $0.minimumBytes = 0 }.frame
    for length in 0..<frame.count {
      #expect(
        desk.forward([Array(frame[0..<length])])[0].verdict == .drop(.truncated), "\(length)")
    }
    #expect(desk.forward([frame])[0].verdict == .forward(0))
    #expect(desk.view.dropBytes(.truncated) == UInt64((0..<frame.count).reduce(0, +)))
  }

  @Test func aDescriptorOutsideTheUmemIsNotFollowed() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    let umemBytes: UInt64 = 64 * 2048
    let outside = [
      FrameDescriptor(address: umemBytes, length: 1),
      FrameDescriptor(address: umemBytes - 59, length: 60),
      FrameDescriptor(address: .max, length: 60),
      FrameDescriptor(address: .max - 59, length: .max),
      FrameDescriptor(address: 0, length: .max),
    ]
    #expect(desk.forward(outside) == Array(repeating: .drop(.truncated), count: outside.count))
    #expect(desk.view.drops(.truncated) == 5)
    #expect(desk.view.dropBytes(.truncated) == 0, "their lengths are not to be believed")
  }
}
