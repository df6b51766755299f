// SPDX-License-Identifier: Apache-2.0

/// Packets the kernel received.
public typealias ReceiveRing = ConsumerRing<FrameDescriptor>
/// Frames the kernel has sent and gives back.
public typealias CompletionRing = ConsumerRing<UInt64>

/// A ring that the kernel writes and this side reads: peek at entries, then release them.
///
/// One thread; indices as in `ProducerRing`.
public struct ConsumerRing<Entry: BitwiseCopyable>: ~Copyable {
  private let slots: UnsafeMutablePointer<Entry>
  private let mask: UInt32
  private let shared: SharedIndex
  private let kernel: SharedIndex
  private var consumed: UInt32

  /// Goes on where the shared indices stand.
  public init(_ memory: RingMemory) {
    slots = memory.descriptors.assumingMemoryBound(to: Entry.self)
    mask = memory.entries &- 1
    shared = SharedIndex(memory.consumer)
    kernel = SharedIndex(memory.producer)
    consumed = shared.loadRelaxed()
  }

  /// Up to `limit` entries that lie in a row: where they begin and how many there are. The row ends
  /// at the ring's end; the rest comes with the next peek.
  @inline(__always)
  public func peek(_ limit: UInt32) -> (entries: UnsafePointer<Entry>, count: UInt32) {
    let available = kernel.loadAcquiring() &- consumed
    let start = consumed & mask
    let count = min(available, limit, mask &+ 1 &- start)
    return (UnsafePointer(slots + Int(start)), count)
  }

  /// Entries that wait.
  @inline(__always) var waiting: UInt32 { kernel.loadAcquiring() &- consumed }

  @inline(__always) public var isEmpty: Bool { kernel.loadAcquiring() == consumed }

  /// Gives the first `count` entries back to the kernel.
  @inline(__always) public mutating func release(_ count: UInt32) {
    consumed = consumed &+ count
    shared.storeReleasing(consumed)
  }
}
