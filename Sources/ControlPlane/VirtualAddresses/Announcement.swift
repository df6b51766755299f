// SPDX-License-Identifier: Apache-2.0
import CNetlink
import DataPlane
import Glibc

/// A frame that tells every host of the LAN which MAC address an IP address has, unasked.
///
/// IPv4: an ARP request for one's own address (RFC 5227 §3). IPv6: an unsolicited neighbour
/// advertisement with the override flag (RFC 4861 §7.2.6).
struct Announcement: Equatable {
  let octets: [UInt8]

  init(of address: IPAddress, at macAddress: MACAddress) {
    let own = address.withNetworkOctets { [UInt8]($0) }
    switch address {
    case .v4: octets = Self.arp(own, macAddress)
    case .v6: octets = Self.advertisement(own, macAddress)
    }
  }

  /// RFC 826: Ethernet and IPv4, operation 1; the target's hardware address is not known.
  private static func arp(_ own: [UInt8], _ macAddress: MACAddress) -> [UInt8] {
    let everyone = [UInt8](repeating: 0xff, count: 6)
    let header: [UInt8] = [0, 1, 8, 0, 6, 4, 0, 1]
    let unknown = [UInt8](repeating: 0, count: 6)
    return everyone + macAddress.octets + bigEndian(EtherType.arp.rawValue) + header
      + macAddress.octets + own + unknown + own
  }

  private static func advertisement(_ own: [UInt8], _ macAddress: MACAddress) -> [UInt8] {
    let allNodes: [UInt8] = [0xff, 0x02] + [UInt8](repeating: 0, count: 13) + [1]
    // RFC 2464 §7.
    let everyone: [UInt8] = [0x33, 0x33, 0, 0, 0, 1]
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
    return everyone + macAddress.octets + bigEndian(EtherType.ipv6.rawValue) + header
      + own + allNodes + message(checksum: checksum.value)
  }

  private static func bigEndian(_ value: UInt16) -> [UInt8] {
    [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)]
  }
}

/// Sends whole frames out of an interface (packet(7)). Receives nothing.
final class PacketSender {
  private let descriptor: Int32
  private let interfaceIndex: Int32

  /// Throws an errno; needs CAP_NET_RAW.
  init(interfaceIndex: Int32) throws(SystemFailure) {
    // Protocol 0: no frame is ever queued for this socket.
    descriptor = socket(AF_PACKET, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw SystemFailure(action: "open a packet socket") }
    self.interfaceIndex = interfaceIndex
  }

  deinit { close(descriptor) }

  func send(_ octets: [UInt8]) throws(SystemFailure) {
    var destination = sockaddr_ll()
    destination.sll_family = UInt16(AF_PACKET)
    destination.sll_ifindex = interfaceIndex
    let size = socklen_t(MemoryLayout<sockaddr_ll>.size)
    let sent = withUnsafePointer(to: &destination) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(descriptor, octets, octets.count, Int32(MSG_DONTWAIT), $0, size)
      }
    }
    guard sent == octets.count else {
      throw SystemFailure(action: "send a frame of \(octets.count) octets")
    }
  }
}

/// A call to the system failed.
struct SystemFailure: Error, CustomStringConvertible {
  let description: String

  /// Reads errno.
  init(action: String) {
    description = "cannot \(action): \(String(cString: strerror(errno)))"
  }
}
