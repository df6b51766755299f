// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension PacketBuilder {
  /// RFC 9260 §8.5; directors do not look at it.
  var sctpVerificationTag: UInt32 { 0x4d61_7274 }

  /// This packet as SCTP with these chunks.
  public func sctp(_ chunks: [UInt8]...) -> PacketBuilder {
    with {
      $0.ipProtocol = .sctp
      $0.payload = chunks.flatMap { $0 }
    }
  }
}

/// A chunk, RFC 9260 §3.2, padded to whole words; `length` is its length field, by default the
/// right one.
public func sctpChunk(_ type: UInt8, _ value: [UInt8] = [], length: UInt16? = nil) -> [UInt8] {
  let octets = [type, 0] + bigEndian(length ?? UInt16(4 + value.count)) + value
  return octets + [UInt8](repeating: 0, count: -octets.count & 3)
}

/// RFC 9260 appendix A, in wire order.
public func crc32c(_ octets: [UInt8]) -> [UInt8] {
  var crc = UInt32.max
  for octet in octets {
    crc ^= UInt32(octet)
    for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 0 ? 0 : 0x82f6_3b78) }
  }
  return withUnsafeBytes(of: (~crc).littleEndian) { Array($0) }
}
