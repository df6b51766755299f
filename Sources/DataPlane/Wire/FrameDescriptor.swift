// SPDX-License-Identifier: Apache-2.0

/// One entry of an RX or TX ring: `struct xdp_desc` of linux/if_xdp.h, 16 bytes.
public struct FrameDescriptor: BitwiseCopyable, Sendable {
  /// Offset of the first byte within the UMEM.
  public var address: UInt64
  /// Bytes of the packet, Ethernet header included.
  public var length: UInt32
  public var options: UInt32

  @inline(__always) public init(address: UInt64, length: UInt32, options: UInt32 = 0) {
    self.address = address
    self.length = length
    self.options = options
  }

  /// Copies a received packet's descriptor in one piece into a slot of the TX ring, where options
  /// have another meaning.
  @inline(__always)
  static func transmit(
    _ received: UnsafePointer<FrameDescriptor>, in slot: UnsafeMutablePointer<FrameDescriptor>
  ) {
    let words = UnsafeRawPointer(received).loadUnaligned(as: SIMD4<UInt32>.self)
    UnsafeMutableRawPointer(slot).storeBytes(
      of: words & SIMD4(.max, .max, .max, 0), as: SIMD4<UInt32>.self)
  }
}
