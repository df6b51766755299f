// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Testing

@testable import ControlPlane

@Suite struct AnnouncementTests {
  private static let macAddress = MACAddress("02:00:00:00:00:d1")!

  /// RFC 5227 §3: an ARP request, sender and target address the announced one.
  @Test func gratuitousARP() {
    let frame = Announcement(of: IPAddress("192.0.2.1")!, at: Self.macAddress)
    #expect(frame.etherType == .arp && frame.destination == MACAddress("ff:ff:ff:ff:ff:ff"))
    #expect(
      frame.packet == [
        0, 1, 0x08, 0, 6, 4, 0, 1,
        0x02, 0, 0, 0, 0, 0xd1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1,
      ])
  }

  /// RFC 4861 §4.4 and §7.2.6.
  @Test func unsolicitedNeighborAdvertisement() {
    let frame = Announcement(of: IPAddress("2001:db8::1")!, at: Self.macAddress)
    let vip: [UInt8] = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    let allNodes: [UInt8] = [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    // RFC 2464 §7.
    #expect(frame.etherType == .ipv6 && frame.destination == MACAddress("33:33:00:00:00:01"))
    let header: [UInt8] = [0x60, 0, 0, 0, 0, 32, 58, 255]
    let message: [UInt8] = [136, 0, 0, 0, 0x20, 0, 0, 0] + vip + [2, 1, 0x02, 0, 0, 0, 0, 0xd1]
    // Pseudo-header and message by hand, in 16-bit words: RFC 1071, RFC 8200 §8.1.
    let summed = vip + allNodes + [0, 0, 0, 32, 0, 0, 0, 58] + message
    var sum = stride(from: 0, to: summed.count, by: 2).reduce(0) {
      $0 + Int(summed[$1]) << 8 + Int(summed[$1 + 1])
    }
    while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
    let checksum = UInt16(0xffff - sum)
    var expected = header + vip + allNodes + message
    expected[42] = UInt8(checksum >> 8)
    expected[43] = UInt8(checksum & 0xff)
    #expect(frame.packet == expected)
  }
}
