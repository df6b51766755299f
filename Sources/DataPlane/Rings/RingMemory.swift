// SPDX-License-Identifier: Apache-2.0

/// Where one ring of an AF_XDP socket lies in mapped memory (linux/if_xdp.h, af_xdp.rst).
///
/// The indices are free-running 32-bit counters shared with the kernel; the mapping's owner keeps
/// it alive.
public struct RingMemory: BitwiseCopyable, @unchecked Sendable {
  public var producer: UnsafeMutablePointer<UInt32>
  public var consumer: UnsafeMutablePointer<UInt32>
  public var flags: UnsafeMutablePointer<UInt32>
  /// `entries` addresses (fill, completion) or `FrameDescriptor`s (rx, tx).
  public var descriptors: UnsafeMutableRawPointer
  /// A power of two.
  public var entries: UInt32

  public init(
    producer: UnsafeMutablePointer<UInt32>, consumer: UnsafeMutablePointer<UInt32>,
    flags: UnsafeMutablePointer<UInt32>, descriptors: UnsafeMutableRawPointer, entries: UInt32
  ) {
    self.producer = producer
    self.consumer = consumer
    self.flags = flags
    self.descriptors = descriptors
    self.entries = entries
  }
}
