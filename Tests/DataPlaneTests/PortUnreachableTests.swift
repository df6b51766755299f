// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// Without a real server the client is told so, as LVS does (`ip_vs_leave`).
@Suite struct PortUnreachableTests {
  static let web = PacketCaseTests.web
  static let webIPv6 = PacketCaseTests.webIPv6
  static let dns = PacketCaseTests.dns

  /// A director all of whose real servers are quiescent.
  private func desk() throws -> ForwarderDesk {
    let desk = try ForwarderDesk()
    var site = SnapshotSpecification.site()
    for service in site.services.indices {
      for member in site.services[service].realServers.indices {
        site.services[service].realServers[member].weight = 0
      }
    }
    try desk.adopt(site)
    return desk
  }

  /// The answer, of which the desk returns only the length of the request.
  private func answer(_ desk: ForwarderDesk, _ frame: [UInt8]) -> [UInt8]? {
    let padded = frame + [UInt8](repeating: 0, count: 2048 - frame.count)
    let result = desk.forward([padded])[0]
    return result.verdict.answerBytes == 0
      ? nil : Array(result.frame.prefix(Int(result.verdict.answerBytes)))
  }

  @Test(arguments: [
    web, dns, web.with { $0.vlanTags = [(.vlan, 7)] },
    web.with { $0.options = [UInt8](repeating: 1, count: 40) },
    dns.with { $0.payload = .init(repeating: 7, count: 1401) },
  ]) func overIPv4(_ packet: PacketBuilder) throws {
    let desk = try desk()
    let request = packet.with { $0.minimumBytes = 0 }.frame
    let offset = 14 + packet.vlanTags.count * 4
    let answer = try #require(self.answer(desk, request))
    let ip = Array(answer[offset...])
    // RFC 1812 §4.3.2.3: as much as fits in 576 octets.
    let quoted = Array(request[offset...].prefix(576 - 28))
    #expect(Array(answer[..<6]) == packet.sourceMAC.octets)
    #expect(answer[6..<12] == packet.destinationMAC.octets[...])
    #expect(answer[12..<offset] == request[12..<offset])
    #expect(ip[0] == 0x45 && ip[8] == 64 && ip[9] == 1)
    #expect(ip.count == 28 + quoted.count)
    #expect(Array(ip[2..<4]) == bigEndian(UInt16(ip.count)))
    #expect(ip[12..<16] == request[offset + 16..<offset + 20], "from the VIP")
    #expect(ip[16..<20] == request[offset + 12..<offset + 16], "to the client")
    // RFC 792: destination unreachable, port unreachable, four unused octets, the packet.
    #expect(Array(ip[20..<22]) == [3, 3] && Array(ip[24..<28]) == [0, 0, 0, 0])
    #expect(Array(ip[28...]) == quoted)
    // RFC 1071: a message with its right checksum sums to zero.
    #expect(internetChecksum(Array(ip[..<20])) == 0)
    #expect(internetChecksum(Array(ip[20...])) == 0)
    #expect(desk.view.drops(.noRealServer) == 1)
    #expect(desk.view.count(of: .portUnreachable) == 1)
    #expect(desk.view.ipv4Connections == 0)
  }

  @Test(arguments: [webIPv6, webIPv6.with { $0.payload = .init(repeating: 7, count: 1401) }])
  func overIPv6(_ packet: PacketBuilder) throws {
    let request = packet.with { $0.minimumBytes = 0 }.frame
    let answer = try #require(self.answer(try desk(), request))
    let ip = Array(answer[14...])
    // RFC 4443 §2.4 (c): no longer than the least MTU, 1280.
    let quoted = Array(request[14...].prefix(1280 - 48))
    #expect(ip.count == 48 + quoted.count)
    #expect(Array(ip[..<8]) == [0x60, 0, 0, 0] + bigEndian(UInt16(ip.count - 40)) + [58, 64])
    #expect(ip[8..<24] == request[14 + 24..<14 + 40] && ip[24..<40] == request[14 + 8..<14 + 24])
    #expect(Array(ip[40..<42]) == [1, 4] && Array(ip[44..<48]) == [0, 0, 0, 0])
    #expect(Array(ip[48...]) == quoted)
    let pseudo = ip[8..<40] + bigEndian(UInt32(ip.count - 40)) + [0, 0, 0, 58]
    #expect(internetChecksum(Array(pseudo + ip[40...])) == 0)
  }

  /// RFC 1122 §3.2.2, RFC 4443 §2.4 (e).
  @Test(arguments: [
    web.with { $0.source = IPAddress("0.0.0.0")! },
    web.with { $0.source = IPAddress("127.0.0.1")! },
    web.with { $0.source = IPAddress("224.0.0.5")! },
    web.with { $0.source = IPAddress("255.255.255.255")! },
    webIPv6.with { $0.source = IPAddress("ff02::1")! },
    webIPv6.with { $0.source = IPAddress("::")! },
    webIPv6.with { $0.source = IPAddress("::1")! },
    web.with { $0.sourceMAC = MACAddress("01:00:5e:00:00:05")! },
  ]) func noneToWhatIsNoSingleHost(_ packet: PacketBuilder) throws {
    let desk = try desk()
    let result = desk.forward(packet)
    #expect(result.verdict == .drop(.noRealServer))
    #expect(result.frame == packet.frame)
    #expect(desk.view.drops(.noRealServer) == 1)
    #expect(desk.view.count(of: .portUnreachable) == 0)
  }

  @Test func aFirstFragmentIsAnsweredAndLaterOnesAreNot() throws {
    let desk = try desk()
    let frames = FragmentTests.dns.fragments(of: 1480, identification: 9)
    #expect(answer(desk, frames[0])?[34] == 3)
    #expect(desk.forward([frames[1]])[0].verdict == .hold)
  }

  /// Fifty at once, then one a millisecond: icmp_msgs_burst and icmp_msgs_per_sec.
  @Test func answersAreLimited() throws {
    let desk = try desk()
    let flood = [[UInt8]](repeating: Self.web.frame, count: 60)
    #expect(desk.forward(flood).count { $0.verdict.answerBytes > 0 } == 50)
    #expect(desk.forward(flood).count { $0.verdict.answerBytes > 0 } == 0)
    desk.advance(seconds: 0.007)
    #expect(desk.forward(flood).count { $0.verdict.answerBytes > 0 } == 7)
    desk.advance(seconds: 60)
    #expect(desk.forward(flood).count { $0.verdict.answerBytes > 0 } == 50)
    #expect(desk.view.count(of: .portUnreachable) == 107)
    #expect(desk.view.drops(.noRealServer) == 240)
  }

  /// An answer is longer than its request, but never than the room to the end of the frame.
  @Test func anAnswerStaysInItsFrame() throws {
    let desk = try desk()
    let request = Self.web.frame
    let starts: [UInt64] = [2048 - 60, 2048 - 81, 2048 - 82]
    for start in starts {
      let copy = desk.forward([[UInt8](repeating: 0, count: Int(start)) + request])
      #expect(copy[0].verdict.dropReason != nil)
      let verdict = desk.forward([FrameDescriptor(address: start, length: 60)])[0]
      #expect((verdict.answerBytes > 0) == (start == 2048 - 82), "14 + 28 + 40 octets")
    }
  }
}
