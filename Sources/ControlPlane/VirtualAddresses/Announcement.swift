// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// A packet that tells every host of the LAN which MAC address an IP address has, unasked.
///
/// IPv4: an ARP request for one's own address (RFC 5227 §3). IPv6: an unsolicited neighbour
/// advertisement with the override flag (RFC 4861 §7.2.6).
struct Announcement: Equatable {
  let etherType: EtherType
  /// Everyone whom it concerns.
  let destination: MACAddress
  /// What follows the Ethernet header.
  let packet: [UInt8]

  init(of address: IPAddress, at macAddress: MACAddress) {
    let own = address.withNetworkOctets { [UInt8]($0) }
    switch address {
    case .v4:
      etherType = .arp
      destination = MACAddress(rawValue: 0xffff_ffff_ffff)
      packet = Self.arp(own, macAddress)
    case .v6:
      etherType = .ipv6
      // All nodes: RFC 2464 §7.
      destination = MACAddress(rawValue: 0x3333_0000_0001)
      packet = Self.advertisement(own, macAddress)
    }
  }

  /// RFC 826: Ethernet and IPv4, operation 1; the target's hardware address is not known.
  private static func arp(_ own: [UInt8], _ macAddress: MACAddress) -> [UInt8] {
    let header: [UInt8] = [0, 1, 8, 0, 6, 4, 0, 1]
    let unknown = [UInt8](repeating: 0, count: 6)
    return header + macAddress.octets + own + unknown + own
  }

  private static func advertisement(_ own: [UInt8], _ macAddress: MACAddress) -> [UInt8] {
    let allNodes: [UInt8] = [0xff, 0x02] + [UInt8](repeating: 0, count: 13) + [1]
    let (type, override, targetLinkAddress): (UInt8, UInt8, UInt8) = (136, 0x20, 2)
    func message(checksum: UInt16) -> [UInt8] {
      [type, 0] + bigEndian(checksum) + [override, 0, 0, 0] + own
        + [targetLinkAddress, 1] + macAddress.octets
    }
    let length = UInt16(message(checksum: 0).count)
    // RFC 8200 §8.1: addresses, length and next header are part of the sum.
    var checksum = InternetChecksum()
    for part in [own, allNodes, message(checksum: 0)] {
      part.withUnsafeBytes { checksum.add($0.baseAddress!, count: $0.count) }
    }
    checksum.add(length)
    checksum.add(UInt16(IPProtocol.icmpv6.rawValue))
    // A neighbour believes only what no router has passed on: hop limit 255.
    let header = [0x60, 0, 0, 0] + bigEndian(length) + [IPProtocol.icmpv6.rawValue, 255]
    return header + own + allNodes + message(checksum: checksum.value)
  }

  private static func bigEndian(_ value: UInt16) -> [UInt8] {
    [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)]
  }
}
