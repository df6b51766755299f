// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// A packet off the wire that may answer a question to a VIP. Anyone can have sent it.
struct LinkAnswer: Equatable {
  enum Content: Equatable {
    /// From this port: flags, and the acknowledged number.
    case segment(Port, TCPFlags, acknowledged: UInt32)
    case datagram(Port, [UInt8])
    /// What was sent as an echo's data.
    case echo(UInt32)
  }

  var source: IPAddress
  /// The port it is to, or an echo's identifier.
  var ownPort: Port
  var content: Content

  /// nil where it is anything else, a fragment, or not whole.
  init?(_ packet: UnsafeRawBufferPointer) {
    guard let version = packet.first.map({ $0 >> 4 }),
      let (source, ipProtocol, payload) =
        version == 6 ? Self.ipv6(packet) : version == 4 ? Self.ipv4(packet) : nil
    else { return nil }
    self.source = source
    switch ipProtocol {
    case .tcp:
      guard payload.count >= 20 else { return nil }
      ownPort = Port(payload.word(2))
      content = .segment(
        Port(payload.word(0)), TCPFlags(rawValue: payload[13]), acknowledged: payload.long(8))
    case .udp:
      guard payload.count >= 8, case let length = Int(payload.word(4)),
        8...payload.count ~= length
      else { return nil }
      ownPort = Port(payload.word(2))
      content = .datagram(Port(payload.word(0)), Array(payload[8..<length]))
    case .icmp, .icmpv6:
      guard payload.count >= 12, payload[0] == (version == 6 ? 129 : 0), payload[1] == 0 else {
        return nil
      }
      ownPort = Port(payload.word(4))
      content = .echo(payload.long(8))
    default: return nil
    }
  }

  private typealias Parts = (IPAddress, IPProtocol, UnsafeRawBufferPointer)

  private static func ipv4(_ packet: UnsafeRawBufferPointer) -> Parts? {
    guard packet.count >= 20, case let header = Int(packet[0] & 15) * 4, header >= 20,
      case let total = Int(packet.word(2)), header...max(header, packet.count) ~= total,
      // Neither an offset nor more fragments.
      packet.word(6) & 0x3fff == 0
    else { return nil }
    return (
      .v4(IPv4Address(rawValue: packet.long(12))), IPProtocol(rawValue: packet[9]),
      UnsafeRawBufferPointer(rebasing: packet[header..<total])
    )
  }

  /// No answer has extension headers.
  private static func ipv6(_ packet: UnsafeRawBufferPointer) -> Parts? {
    guard packet.count >= 40, case let total = 40 + Int(packet.word(4)), total <= packet.count
    else { return nil }
    func half(_ offset: Int) -> UInt64 {
      UInt64(packet.long(offset)) << 32 | UInt64(packet.long(offset + 4))
    }
    return (
      .v6(IPv6Address(high: half(8), low: half(16))), IPProtocol(rawValue: packet[6]),
      UnsafeRawBufferPointer(rebasing: packet[40..<total])
    )
  }
}

extension UnsafeRawBufferPointer {
  /// 16 bits of the wire; the caller has compared the count.
  func word(_ offset: Int) -> UInt16 { UInt16(self[offset]) << 8 | UInt16(self[offset + 1]) }

  /// 32 bits of the wire.
  func long(_ offset: Int) -> UInt32 { UInt32(word(offset)) << 16 | UInt32(word(offset + 2)) }
}
