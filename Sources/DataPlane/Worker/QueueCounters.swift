// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// What a worker counts about its queue.
public enum QueueCounter: Int, CaseIterable, Sendable {
  case received
  case forwarded
  /// Packets that were not forwarded but answered in their own frames.
  case answered
  case dropped
  /// Later fragments that came before their first one and were kept for it.
  case held
  /// Held ones whose first one came in time: forwarded, or dropped where it says so.
  case released
  /// Batches of at least one packet: `received` over this is the mean batch.
  case batches
  /// Turns that took fewer packets than there were because the TX ring had no room.
  case transmitFull
  case completed
  case transmitWakeups
  case fillWakeups
  /// The kernel asked to come again (EAGAIN, ENOBUFS, ENOMEM): nothing is lost.
  case transmitAgain
  /// The driver dropped a frame after taking it (EBUSY): one packet lost.
  case transmitLost
  /// The interface was down or being reset (ENETDOWN, ENXIO).
  case linkDown
  /// Sleeps in poll(2).
  case sleeps
}

/// `QueueCounter`s: one writer, any reader.
public struct QueueCounters: @unchecked Sendable {
  private let cells: UnsafeMutablePointer<Atomic<UInt64>>

  /// `memory` holds `byteCount` zeroed octets and outlives the value.
  init(_ memory: UnsafeMutableRawPointer) {
    cells = memory.assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  static let byteCount = QueueCounter.allCases.count * MemoryLayout<UInt64>.stride

  public subscript(counter: QueueCounter) -> UInt64 {
    (cells + counter.rawValue).pointee.load(ordering: .relaxed)
  }

  @inline(__always) func add(_ amount: UInt64, to counter: QueueCounter) {
    let cell = cells + counter.rawValue
    cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
  }
}
