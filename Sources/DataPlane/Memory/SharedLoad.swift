// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A word that another thread may be writing. Loads of one reader stay in order.
@inline(__always)
func sharedLoad(_ word: UnsafeMutablePointer<UInt64>) -> UInt64 {
  UnsafeMutableRawPointer(word).assumingMemoryBound(to: Atomic<UInt64>.self).pointee
    .load(ordering: .acquiring)
}
