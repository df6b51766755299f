// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension PacketBuilder {
  /// The packet that goes the other way.
  public var answer: PacketBuilder {
    with {
      ($0.source, $0.destination) = (destination, source)
      ($0.sourcePort, $0.destinationPort) = (destinationPort, sourcePort)
      $0.tcpFlags = .ack
    }
  }

  /// An ICMP error about this packet, sent to its source: RFC 792, RFC 4443 §2.1.
  ///
  /// - Parameters:
  ///   - octets: how much of the packet it quotes, from the IP header on.
  ///   - word: the third header field: an MTU, a pointer, or nothing.
  public func icmpError(
    from router: String, type: UInt8, code: UInt8 = 0, word: UInt32 = 0, octets: Int = 548
  ) -> PacketBuilder {
    let quoted = with { $0.minimumBytes = 0 }.frame.dropFirst(14).prefix(octets)
    var message = [type, code, 0, 0] + bigEndian(word) + quoted
    var error = PacketBuilder(from: router, to: router)
    (error.destination, error.sourceMAC) = (source, sourceMAC)
    error.destinationMAC = destinationMAC
    var pseudo: [UInt8] = []
    error.ipProtocol = .icmp
    if case (.v6(let from), .v6(let to)) = (error.source, error.destination) {
      error.ipProtocol = .icmpv6
      pseudo = [from.high, from.low, to.high, to.low].flatMap(bigEndian)
      pseudo += bigEndian(UInt32(message.count)) + [0, 0, 0, 58]
    }
    message.replaceSubrange(2..<4, with: bigEndian(internetChecksum(pseudo + message)))
    error.payload = message
    return error
  }

  /// This untagged packet in fragments of up to `octets` octets of its IP payload each, RFC 791
  /// §3.2 and RFC 8200 §4.5.
  public func fragments(of octets: Int, identification: UInt16) -> [[UInt8]] {
    precondition(octets % 8 == 0)
    let whole = with { $0.minimumBytes = 0 }.frame
    let isIPv6 = whole[12] == 0x86
    let headerEnd = 14 + (isIPv6 ? 40 : 20)
    let payload = Array(whole[headerEnd...])
    return stride(from: 0, to: payload.count, by: octets).map { start in
      let part = payload[start..<min(start + octets, payload.count)]
      let hasMore = part.endIndex < payload.count
      var frame = Array(whole[..<headerEnd])
      if isIPv6 {
        let field = UInt16(start) | (hasMore ? 1 : 0)
        frame.replaceSubrange(18..<20, with: bigEndian(UInt16(part.count + 8)))
        frame += [frame[20], 0] + bigEndian(field) + [0, 0] + bigEndian(identification)
        frame[20] = 44
      } else {
        let field = UInt16(start / 8) | (hasMore ? 0x2000 : 0)
        frame.replaceSubrange(16..<18, with: bigEndian(UInt16(part.count + 20)))
        frame.replaceSubrange(18..<20, with: bigEndian(identification))
        frame.replaceSubrange(20..<22, with: bigEndian(field))
        frame.replaceSubrange(24..<26, with: [0, 0])
        frame.replaceSubrange(24..<26, with: bigEndian(internetChecksum(Array(frame[14..<34]))))
      }
      return frame + part
    }
  }
}
