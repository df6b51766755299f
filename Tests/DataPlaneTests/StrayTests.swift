// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// Segments of no connection that begin none: the three policies, and the RST octet by octet.
@Suite struct StrayTests {
  static let ack = PacketCaseTests.web.with {
    ($0.tcpFlags, $0.sequence, $0.acknowledgment) = ([.ack, .psh], 0x0102_0304, 0xf1f2_f3f4)
    $0.payload = Array("GET / HTTP/1.1\r\n\r\n".utf8)
  }
  static let fin = ack.with {
    // Without ACK the last octet of the sequence space is passed.
    ($0.tcpFlags, $0.sequence) = (.fin, 0xffff_fffe)
  }

  private static func overIPv6(_ packet: PacketBuilder) -> PacketBuilder {
    packet.with {
      ($0.source, $0.destination) = (PacketCaseTests.webIPv6.source, IPAddress("2001:db8::149")!)
    }
  }

  /// The answer, of which the desk returns only the length of the request.
  private func answer(_ desk: ForwarderDesk, _ frame: [UInt8]) -> [UInt8]? {
    let padded = frame + [UInt8](repeating: 0xee, count: 2048 - frame.count)
    let result = desk.forward([padded])[0]
    return result.verdict.answer == .reset
      ? Array(result.frame.prefix(Int(result.verdict.answerBytes))) : nil
  }

  @Test(arguments: [
    ack, fin, ack.with { $0.payload = [] },
    ack.with { $0.payload = .init(repeating: 7, count: 1401) },
    fin.with { $0.vlanTags = [(.vlan, 7)] },
    ack.with { $0.options = [UInt8](repeating: 1, count: 40) }, ack.with { $0.tcpFlags = [] },
  ]) func isResetOverIPv4(_ packet: PacketBuilder) throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    let request = packet.with { $0.minimumBytes = 0 }.frame
    let answer = try #require(self.answer(desk, request))
    let offset = 14 + packet.vlanTags.count * 4
    let ip = Array(answer[offset..<offset + 40])
    #expect(Array(answer[..<6]) == packet.sourceMAC.octets)
    #expect(answer[6..<12] == packet.destinationMAC.octets[...])
    #expect(answer[12..<offset] == request[12..<offset])
    #expect(Array(ip[..<10]) == [0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6])
    #expect(ip[12..<16] == request[offset + 16..<offset + 20], "from the VIP")
    #expect(ip[16..<20] == request[offset + 12..<offset + 16], "to the client")
    #expect(internetChecksum(Array(ip[..<20])) == 0)
    check(Array(ip[20...]), answers: packet, addresses: Array(ip[12..<20]))
    // IEEE 802.3: no frame is shorter than 60 octets, and nothing of the request is left in it.
    #expect(answer.count == max(60, offset + 40))
    #expect(answer[(offset + 40)...].allSatisfy { $0 == 0 })
    #expect(desk.view.drops(.noConnection) == 1)
    #expect(desk.view.count(of: .reset) == 1)
    #expect(desk.view.ipv4Connections == 0)
  }

  @Test(arguments: [
    ack, fin, ack.with { $0.extensionHeaders = [(60, [0, 0, 1, 4, 0, 0, 0, 0])] },
  ]) func isResetOverIPv6(_ packet: PacketBuilder) throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    let packet = Self.overIPv6(packet)
    let request = packet.frame
    let answer = try #require(self.answer(desk, request))
    let ip = Array(answer[14...])
    #expect(ip.count == 60)
    #expect(Array(ip[..<8]) == [0x60, 0, 0, 0, 0, 20, 6, 64])
    #expect(ip[8..<24] == request[14 + 24..<14 + 40] && ip[24..<40] == request[14 + 8..<14 + 24])
    check(Array(ip[40...]), answers: packet, addresses: Array(ip[8..<40]))
  }

  /// RFC 9293 §3.10.7.1: `<SEQ=SEG.ACK><CTL=RST>`, or without an ACK
  /// `<SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>`, where a FIN counts as one.
  private func check(_ segment: [UInt8], answers packet: PacketBuilder, addresses: [UInt8]) {
    let length = UInt32(packet.payload.count) + (packet.tcpFlags.contains(.fin) ? 1 : 0)
    let hasACK = packet.tcpFlags.contains(.ack)
    let sequence = hasACK ? packet.acknowledgment : 0
    let acknowledgment = hasACK ? 0 : packet.sequence &+ length
    let flags: TCPFlags = hasACK ? .rst : [.rst, .ack]
    #expect(Array(segment[..<4]) == bigEndian(UInt16(80)) + bigEndian(UInt16(40000)))
    #expect(Array(segment[4..<12]) == bigEndian(sequence) + bigEndian(acknowledgment))
    #expect(Array(segment[12..<16]) == [0x50, flags.rawValue, 0, 0])
    #expect(segment.count == 20 && segment[18...].allSatisfy { $0 == 0 })
    let pseudo = addresses + bigEndian(UInt32(segment.count)) + [0, 0, 0, 6]
    #expect(internetChecksum(pseudo + segment) == 0)
  }

  /// An RST never; nor what no single host sent (RFC 1122 §4.2.3.10), what is damaged, what is in
  /// pieces.
  @Test(arguments: [
    ack.with { $0.tcpFlags = .rst }.frame, ack.with { $0.tcpFlags = [.rst, .ack] }.frame,
    ack.with { $0.tcpFlags = [.syn, .rst] }.frame,
    ack.with { $0.source = IPAddress("224.0.0.5")! }.frame,
    ack.with { $0.source = IPAddress("0.0.0.0")! }.frame,
    ack.with { $0.sourceMAC = MACAddress("ff:ff:ff:ff:ff:ff")! }.frame,
    ack.with { $0.fragmentField = 0x2000 }.frame,
    Array(ack.frame.dropLast()) + [1],
    overIPv6(ack).with { $0.extensionHeaders = [(44, [0, 0, 0, 1, 0, 0, 0, 9])] }.frame,
    damaged(ack, 46, 0x40), damaged(ack, 46, 0xf0),
  ]) func isNotAlwaysAnswered(_ frame: [UInt8]) throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    let result = desk.forward([frame])[0]
    #expect(result.verdict == .drop(.noConnection))
    #expect(result.frame == frame)
    #expect(desk.view.count(of: .reset) == 0)
  }

  /// With a right checksum over a data offset that is wrong.
  private static func damaged(
    _ packet: PacketBuilder, _ offset: Int, _ octet: UInt8
  ) -> [UInt8] {
    var frame = packet.with { $0.minimumBytes = 0 }.frame
    frame[offset] = octet
    frame.replaceSubrange(50..<52, with: [0, 0])
    let segment = Array(frame[34...])
    let pseudo = frame[26..<34] + bigEndian(UInt32(segment.count)) + [0, 0, 0, 6]
    frame.replaceSubrange(50..<52, with: bigEndian(internetChecksum(pseudo + segment)))
    return frame
  }

  /// Fifty at once, then one a millisecond, port unreachable included.
  @Test func answersAreLimited() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    let flood = [[UInt8]](repeating: Self.ack.frame, count: 60)
    #expect(desk.forward(flood).count { $0.verdict.answer == .reset } == 50)
    desk.advance(seconds: 0.007)
    #expect(desk.forward(flood).count { $0.verdict.answer == .reset } == 7)
    #expect(desk.view.drops(.noConnection) == 120)
  }

  /// `sloppy_tcp`: a connection may begin in its middle; an RST begins none.
  @Test func mayBeScheduled() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site { $0.stray = .schedule })
    #expect(desk.forward(Self.ack.with { $0.tcpFlags = .rst }).verdict == .drop(.noConnection))
    #expect(desk.forward(Self.ack).frame[5] == 2)
    #expect(desk.forward(Self.ack).frame[5] == 2)
    #expect(desk.connections.map(\.state) == [.established], "`tcp_states`: NONE and ACK")
    let fin = Self.fin.with { $0.sourcePort = Port(9) }
    #expect(desk.forward(fin).frame[5] == 1)
  }

  @Test func mayBeDropped() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site { $0.stray = .drop })
    #expect(desk.forward(Self.ack).verdict == .drop(.noConnection))
  }

  /// A client whose connection has ended here learns it at once.
  @Test func endsAConnectionThatExpired() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    _ = desk.forward(PacketCaseTests.web)
    desk.advance(seconds: 60.1)
    #expect(desk.forward(Self.ack).verdict.answer == .reset)
    #expect(desk.forward(PacketCaseTests.web).verdict == .forward(0), "a SYN opens it anew")
  }
}
