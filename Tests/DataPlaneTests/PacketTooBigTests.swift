// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// A packet that is larger than the MTU of the interface it is to leave by: its sender is told, as
/// by LVS (`ensure_mtu_is_adequate` of ip_vs_xmit.c), but where a router would fragment it.
@Suite struct PacketTooBigTests {
  private static let web = PacketCaseTests.web
  private static let webIPv6 = PacketCaseTests.webIPv6

  /// IP packets of 1500 octets come in; the real servers' interface takes 1400.
  private func desk(
    mtus: [Int] = [1400, 1500], _ policy: (inout ServicePolicy) -> Void = { _ in }
  ) throws -> ForwarderDesk {
    var site = SnapshotSpecification.site(policy: policy)
    site.egressMACAddresses = [.director, MACAddress("02:00:00:00:00:d2")!]
    site.egressMTUs = mtus
    let desk = try ForwarderDesk()
    try desk.adopt(site)
    return desk
  }

  /// With so much payload that the IP packet has `octets`.
  private static func packet(_ packet: PacketBuilder, of octets: Int) -> PacketBuilder {
    packet.with {
      $0.minimumBytes = 0
      let headers = $0.frame.count - 14 - 4 * $0.vlanTags.count
      $0.payload = .init(repeating: 7, count: octets - headers)
    }
  }

  @Test(arguments: [
    web, PacketCaseTests.dns, web.with { $0.vlanTags = [(.serviceVLAN, 1), (.vlan, 2)] },
    web.with { $0.options = [UInt8](repeating: 1, count: 8) },
  ]) func isToldOverIPv4(_ packet: PacketBuilder) throws {
    let desk = try desk()
    let fitting = Self.packet(packet, of: 1400)
    #expect(desk.forward(fitting).verdict == .forward(0))
    let large = Self.packet(packet, of: 1401)
    let result = desk.forward(large)
    let offset = 14 + 4 * packet.vlanTags.count
    #expect(result.verdict.answer == .packetTooBig)
    #expect(result.verdict.dropReason == .packetTooBig)
    // RFC 1812 §4.3.2.3: as much as fits in 576 octets.
    #expect(Int(result.verdict.answerBytes) == offset + 576)
    #expect(result.frame.starts(with: packet.sourceMAC.octets + packet.destinationMAC.octets))
    let (ip, request) = (Array(result.frame[offset..<offset + 576]), Array(large.frame[offset...]))
    #expect(ip[12..<16] == request[16..<20] && ip[16..<20] == request[12..<16])
    // RFC 1191 §4: destination unreachable, fragmentation needed, unused, the next hop's MTU.
    #expect(Array(ip[20..<22]) == [3, 4] && Array(ip[24..<28]) == bigEndian(UInt32(1400)))
    #expect(Array(ip[28...]) == Array(request[..<548]))
    #expect(internetChecksum(Array(ip[..<20])) == 0 && internetChecksum(Array(ip[20...])) == 0)
    #expect(desk.view.drops(.packetTooBig) == 1 && desk.view.count(of: .packetTooBig) == 1)
    #expect(desk.forward(fitting).verdict == .forward(0), "the connection goes on")
  }

  @Test func isToldOverIPv6() throws {
    let desk = try desk()
    #expect(desk.forward(Self.packet(Self.webIPv6, of: 1400)).verdict == .forward(0))
    let large = Self.packet(Self.webIPv6, of: 1401)
    let result = desk.forward(large)
    #expect(result.verdict.answer == .packetTooBig)
    // RFC 4443 §2.4 (c): as much as fits in 1280 octets.
    #expect(result.verdict.answerBytes == 14 + 1280)
    let ip = Array(result.frame[14..<14 + 1280])
    // RFC 4443 §3.2: packet too big, code 0, the next hop's MTU.
    #expect(Array(ip[40..<42]) == [2, 0] && Array(ip[44..<48]) == bigEndian(UInt32(1400)))
    #expect(Array(ip[48...]) == Array(large.frame[14..<14 + 1232]))
    let pseudo = ip[8..<40] + bigEndian(UInt32(ip.count - 40)) + [0, 0, 0, 58]
    #expect(internetChecksum(Array(pseudo + ip[40...])) == 0)
  }

  @Test func whatMayBeFragmentedIsDropped() throws {
    let desk = try desk()
    let large = Self.packet(Self.web, of: 1401).with { $0.fragmentField = 0 }
    let result = desk.forward(large)
    #expect(result.verdict == .drop(.notFragmented))
    #expect(result.frame == large.frame)
    #expect(desk.view.drops(.notFragmented) == 1 && desk.view.count(of: .packetTooBig) == 0)
  }

  /// A first fragment is told of; the datagram's others, which have nowhere to go, are not.
  @Test func fragmentsOverIPv6AreToldOfOnce() throws {
    let desk = try desk()
    let parts = FragmentTests.webIPv6.fragments(of: 1432, identification: 9)
    #expect(desk.forward(parts).map(\.verdict.answer) == [.packetTooBig, nil, nil])
    // A small first one, and a second that is too large.
    let whole = FragmentTests.webIPv6.with { $0.sourcePort = Port(7) }
    let small = whole.fragments(of: 1000, identification: 8)
    let large = whole.fragments(of: 1432, identification: 8)
    #expect(desk.forward([small[0]])[0].verdict == .forward(0))
    #expect(desk.forward([large[1]])[0].verdict == .drop(.packetTooBig))
    #expect(desk.view.count(of: .packetTooBig) == 1)
  }

  /// RFC 1122 §3.2.2: no error answers an error.
  @Test func anErrorIsNotAnswered() throws {
    let desk = try desk(mtus: [560, 1500])
    #expect(desk.forward(Self.web).verdict == .forward(0))
    let request = Self.packet(Self.web, of: 1000)
    let error = request.answer.icmpError(from: "10.9.9.9", type: 3, code: 1)
    #expect(desk.forward(error).verdict == .drop(.packetTooBig))
    #expect(desk.view.count(of: .icmpUnreachable) == 0)
  }

  /// `__ip_vs_get_out_rt`: the time to live comes first.
  @Test func theTimeToLiveEndsFirst() throws {
    let desk = try desk { $0.timeToLive = .decrement }
    let large = Self.packet(Self.web, of: 1500)
    #expect(desk.forward(large.with { $0.timeToLive = 1 }).verdict.answer == .timeExceeded)
    let result = desk.forward(large.with { $0.timeToLive = 9 })
    #expect(result.verdict.answer == .packetTooBig && result.frame[14 + 28 + 8] == 8)
    let fitting = desk.forward(Self.packet(Self.web, of: 1400).with { $0.timeToLive = 9 })
    #expect(fitting.verdict == .forward(0) && fitting.frame[14 + 8] == 8)
  }

  /// Whatever comes in leaves by the widest, and by any where MTUs are alike or not known.
  @Test(arguments: [[1500, 1400], [1400, 1400], []]) func isNoneWhereItFits(_ mtus: [Int]) throws {
    let desk = try desk(mtus: mtus)
    #expect(desk.forward(Self.packet(Self.web, of: 1900)).verdict == .forward(0))
    #expect(desk.forward(Self.packet(Self.webIPv6, of: 1900)).verdict == .forward(0))
  }

  /// A thousand a second, as all answers.
  @Test func answersAreLimited() throws {
    let desk = try desk()
    let large = (UInt16(1)...64).map { port in
      Self.packet(Self.web, of: 1500).with { $0.sourcePort = Port(port) }.frame
    }
    #expect(desk.forward(large).count { $0.verdict.answer == .packetTooBig } == 50)
    #expect(desk.view.drops(.packetTooBig) == 64)
  }
}
