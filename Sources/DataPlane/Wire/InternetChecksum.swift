// SPDX-License-Identifier: Apache-2.0

/// The checksum of IPv4, ICMP and their like: RFC 1071.
public struct InternetChecksum: BitwiseCopyable {
  private var sum: UInt64 = 0

  public init() {}

  /// Octets from an even place of the message on; an odd last one is padded with zero.
  public mutating func add(_ bytes: UnsafeRawPointer, count: Int) {
    var offset = 0
    while offset &+ 1 < count {
      let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self)
      sum &+= UInt64(UInt16(bigEndian: word))
      offset &+= 2
    }
    if offset < count {
      sum &+= UInt64(bytes.load(fromByteOffset: offset, as: UInt8.self)) &<< 8
    }
  }

  /// One 16-bit word, in host order.
  public mutating func add(_ word: UInt16) { sum &+= UInt64(word) }

  /// The field's value, in host order.
  public var value: UInt16 {
    var folded = sum
    while folded > 0xffff { folded = (folded & 0xffff) &+ (folded &>> 16) }
    return ~UInt16(truncatingIfNeeded: folded)
  }
}
