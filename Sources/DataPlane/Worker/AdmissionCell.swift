// SPDX-License-Identifier: Apache-2.0
import CDirectorABI
import Synchronization

/// The words by which a worker tells the eBPF program how many SYNs may come by one queue, and
/// learns how many came and did not: `director_admission`. This side is one thread's.
struct AdmissionCell: BitwiseCopyable {
  /// In words of 64 bits, as DirectorABITests has it.
  private enum Word: Int {
    case limit = 0
    case granted = 1
    case taken = 8
    case dropped = 9
    case octets = 10
  }

  private let words: UnsafeMutablePointer<Atomic<UInt64>>

  /// - Parameter memory: a `director_admission`, which outlives the value.
  init(_ memory: UnsafeMutableRawPointer) {
    words = memory.assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  private func load(_ word: Word) -> UInt64 {
    (words + word.rawValue).pointee.load(ordering: .relaxed)
  }

  private func store(_ value: UInt64, to word: Word) {
    (words + word.rawValue).pointee.store(value, ordering: .releasing)
  }

  /// SYNs that the program has dropped.
  var dropped: UInt64 { load(.dropped) }

  /// Octets of their frames.
  var octets: UInt64 { load(.octets) }

  /// Leave for `count` more SYNs, so that there is leave for `most` at a time.
  func grant(_ count: UInt64, atMost most: UInt64) {
    let (granted, taken) = (load(.granted), load(.taken))
    let left = Int64(bitPattern: granted &- taken)
    let more = min(Int64(clamping: count), Int64(clamping: most) &- left)
    if more > 0 { store(granted &+ UInt64(more), to: .granted) }
  }

  /// From now on no SYN comes without leave; at `end`, if nothing is heard until then, all do.
  func limit(until end: Tick) {
    store(UInt64(DIRECTOR_LIMITED) | UInt64(end.rawValue), to: .limit)
  }

  /// All SYNs come.
  func lift() { store(0, to: .limit) }
}
