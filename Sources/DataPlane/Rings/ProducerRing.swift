// SPDX-License-Identifier: Apache-2.0

/// Frames for the kernel to receive into.
public typealias FillRing = ProducerRing<UInt64>
/// Packets for the kernel to send.
public typealias TransmitRing = ProducerRing<FrameDescriptor>

/// A ring that this side writes and the kernel reads: write entries, then submit them.
///
/// One thread. Its own index is a plain variable; the kernel's is read when the ring looks too
/// full. The indices wrap: 2³² packets pass in seven minutes at 10 Mpps.
public struct ProducerRing<Entry: BitwiseCopyable>: ~Copyable {
  private let slots: UnsafeMutablePointer<Entry>
  private let mask: UInt32
  private let shared: SharedIndex
  private let kernel: SharedIndex
  private let flags: SharedIndex
  private var produced: UInt32
  private var knownConsumed: UInt32

  /// Goes on where the shared indices stand.
  public init(_ memory: RingMemory) {
    slots = memory.descriptors.assumingMemoryBound(to: Entry.self)
    mask = memory.entries &- 1
    shared = SharedIndex(memory.producer)
    kernel = SharedIndex(memory.consumer)
    flags = SharedIndex(memory.flags)
    produced = shared.loadRelaxed()
    knownConsumed = kernel.loadAcquiring()
  }

  /// Slots that may be written, at least `wanted` of them if the kernel has freed so many.
  @inline(__always) public mutating func reserve(_ wanted: UInt32) -> UInt32 {
    let free = mask &+ 1 &- (produced &- knownConsumed)
    if _fastPath(free >= wanted) { return free }
    knownConsumed = kernel.loadAcquiring()
    return mask &+ 1 &- (produced &- knownConsumed)
  }

  /// Writes the entry that comes `offset` after the last submitted one; it must be reserved.
  @inline(__always) public func write(_ entry: Entry, at offset: UInt32) {
    vacancies.write(entry, at: offset)
  }

  /// What writing needs of the ring, to be kept in locals where many entries are written one by
  /// one: valid until the next `submit`.
  struct Vacancies: BitwiseCopyable {
    fileprivate let slots: UnsafeMutablePointer<Entry>
    fileprivate let mask: UInt32
    fileprivate let produced: UInt32

    @inline(__always) func write(_ entry: Entry, at offset: UInt32) {
      slots[Int((produced &+ offset) & mask)] = entry
    }
  }

  @inline(__always) var vacancies: Vacancies {
    Vacancies(slots: slots, mask: mask, produced: produced)
  }

  /// The slots after the last submitted entry that lie in a row, up to `limit`, which must be
  /// reserved: where they begin and how many there are. The row ends at the ring's end.
  @inline(__always)
  public func row(_ limit: UInt32) -> (entries: UnsafeMutablePointer<Entry>, count: UInt32) {
    let start = produced & mask
    return (slots + Int(start), min(limit, mask &+ 1 &- start))
  }

  /// Hands the first `count` written entries to the kernel.
  @inline(__always) public mutating func submit(_ count: UInt32) {
    produced = produced &+ count
    shared.storeReleasing(produced)
  }

  /// Entries that the kernel has not taken yet.
  @inline(__always) public var pending: UInt32 { produced &- kernel.loadAcquiring() }

  /// Whether the kernel asks for a system call before it looks at new entries
  /// (XDP_RING_NEED_WAKEUP).
  @inline(__always) public var needsWakeup: Bool { flags.loadRelaxed() & 1 != 0 }
}
