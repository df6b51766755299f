// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Makes the packets of one question to a VIP, from the network header on, with one hop to live.
struct ProbePacket {
  let source: IPAddress
  /// Of the same IP version.
  let destination: IPAddress
  /// What the answer comes to: a port, or an echo's identifier.
  let ownPort: Port
  let port: Port

  /// RFC 9293 §3.1, no data; a SYN says no more than that there is a window.
  func segment(_ flags: TCPFlags, sequence: UInt32) -> [UInt8] {
    var octets: [UInt8] = []
    octets.append(bigEndian: ownPort.rawValue)
    octets.append(bigEndian: port.rawValue)
    octets.append(bigEndian: sequence)
    octets.append(bigEndian: UInt32(0))
    octets += [5 << 4, flags.rawValue]
    octets.append(bigEndian: UInt16(flags.contains(.syn) ? 65_535 : 0))
    octets.append(bigEndian: UInt32(0))
    return finished(octets, .tcp, checksumAt: 16)
  }

  /// RFC 768.
  func datagram(_ payload: [UInt8]) -> [UInt8] {
    var octets: [UInt8] = []
    octets.append(bigEndian: ownPort.rawValue)
    octets.append(bigEndian: port.rawValue)
    octets.append(bigEndian: UInt16(8 + payload.count))
    octets.append(bigEndian: UInt16(0))
    return finished(octets + payload, .udp, checksumAt: 6)
  }

  /// RFC 792, RFC 4443 §4.1.
  func echo(_ nonce: UInt32) -> [UInt8] {
    let isIPv6 = destination.isVersion6
    var octets: [UInt8] = [isIPv6 ? 128 : 8, 0, 0, 0]
    octets.append(bigEndian: ownPort.rawValue)
    octets.append(bigEndian: UInt16(1))
    octets.append(bigEndian: nonce)
    return finished(octets, isIPv6 ? .icmpv6 : .icmp, checksumAt: 2)
  }

  /// With its checksum, and the network header before it.
  private func finished(
    _ payload: [UInt8], _ ipProtocol: IPProtocol, checksumAt offset: Int
  ) -> [UInt8] {
    var payload = payload
    var sum = InternetChecksum()
    if ipProtocol != .icmp {
      sum.add(source)
      sum.add(destination)
      sum.add(UInt16(ipProtocol.rawValue))
      sum.add(UInt16(payload.count))
    }
    sum.add(payload)
    // RFC 768: of UDP zero would be none.
    let value = ipProtocol == .udp && sum.value == 0 ? 0xffff : sum.value
    (payload[offset], payload[offset + 1]) = (UInt8(value >> 8), UInt8(value & 0xff))
    return header(ipProtocol, payloadBytes: payload.count) + payload
  }

  /// RFC 791 §3.1, without identification since it is not to be fragmented (RFC 6864 §4.1); RFC
  /// 8200 §3.
  private func header(_ ipProtocol: IPProtocol, payloadBytes: Int) -> [UInt8] {
    var octets: [UInt8] = []
    if destination.isVersion6 {
      octets.append(bigEndian: UInt32(0x6000_0000))
      octets.append(bigEndian: UInt16(payloadBytes))
      octets += [ipProtocol.rawValue, 1]
      source.withNetworkOctets { octets.append(contentsOf: $0) }
      destination.withNetworkOctets { octets.append(contentsOf: $0) }
      return octets
    }
    octets.append(bigEndian: UInt16(0x4500))
    octets.append(bigEndian: UInt16(20 + payloadBytes))
    octets.append(bigEndian: UInt32(0x4000))
    octets += [1, ipProtocol.rawValue, 0, 0]
    source.withNetworkOctets { octets.append(contentsOf: $0) }
    destination.withNetworkOctets { octets.append(contentsOf: $0) }
    let checksum = InternetChecksum.of(octets)
    (octets[10], octets[11]) = (UInt8(checksum >> 8), UInt8(checksum & 0xff))
    return octets
  }
}

/// Control bits of RFC 9293 §3.1.
struct TCPFlags: OptionSet, Hashable {
  let rawValue: UInt8
  static let syn = TCPFlags(rawValue: 2)
  static let rst = TCPFlags(rawValue: 4)
  static let ack = TCPFlags(rawValue: 16)
}

extension InternetChecksum {
  fileprivate mutating func add(_ address: IPAddress) {
    address.withNetworkOctets { add($0.baseAddress!, count: $0.count) }
  }

  fileprivate mutating func add(_ octets: [UInt8]) {
    octets.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { add(base, count: bytes.count) }
    }
  }

  static func of(_ octets: [UInt8]) -> UInt16 {
    var checksum = InternetChecksum()
    checksum.add(octets)
    return checksum.value
  }
}
