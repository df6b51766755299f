// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// One 32-bit word that the kernel and a worker share.
struct SharedIndex: BitwiseCopyable {
  private let word: UnsafeMutablePointer<UInt32>

  @inline(__always) init(_ word: UnsafeMutablePointer<UInt32>) { self.word = word }

  @inline(__always) private var atomic: UnsafeMutablePointer<Atomic<UInt32>> {
    UnsafeMutableRawPointer(word).assumingMemoryBound(to: Atomic<UInt32>.self)
  }

  /// What the other side wrote before this index may be read after this load.
  @inline(__always) func loadAcquiring() -> UInt32 { atomic.pointee.load(ordering: .acquiring) }

  @inline(__always) func loadRelaxed() -> UInt32 { atomic.pointee.load(ordering: .relaxed) }

  /// What was written before this store may be read by the other side once it sees it.
  @inline(__always) func storeReleasing(_ value: UInt32) {
    atomic.pointee.store(value, ordering: .releasing)
  }
}
