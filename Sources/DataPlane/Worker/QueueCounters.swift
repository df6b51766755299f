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

  /// The cells behind the counters: a class each of batch sizes, of turns' times, and their sum.
  private static let firstBatchSize = QueueCounter.allCases.count
  /// Up to 1, 2, 4 … 64 packets, `Forwarder.batchLimit`, and one that stays empty.
  static let batchSizeClasses = 8
  private static var firstTurnTime: Int { firstBatchSize &+ batchSizeClasses }
  /// Up to 1, 2, 4 … 32 768 µs, and longer.
  static let turnTimeClasses = 17
  private static var turnTimeSum: Int { firstTurnTime &+ turnTimeClasses }
  /// Of the shortest class of turns' times.
  public static let turnTimeUnitNanoseconds: UInt64 = 1000

  static let byteCount = (turnTimeSum + 1) * MemoryLayout<UInt64>.stride

  public subscript(counter: QueueCounter) -> UInt64 {
    (cells + counter.rawValue).pointee.load(ordering: .relaxed)
  }

  /// Packets per batch.
  public var batchSizes: DoublingHistogram {
    DoublingHistogram(
      counts: values(Self.firstBatchSize, Self.batchSizeClasses), sum: self[.received])
  }

  /// Nanoseconds of the turns that were timed: from when packets were seen until the kernel had
  /// been woken to send these.
  public var turnTimes: DoublingHistogram {
    DoublingHistogram(
      counts: values(Self.firstTurnTime, Self.turnTimeClasses),
      sum: values(Self.turnTimeSum, 1)[0])
  }

  private func values(_ first: Int, _ count: Int) -> [UInt64] {
    (first..<first + count).map { (cells + $0).pointee.load(ordering: .relaxed) }
  }

  /// Counts a batch of `size` packets, at least one.
  @inline(__always) func countBatch(of size: UInt32) {
    let place = DoublingHistogram.place(
      of: UInt64(size), unit: 1, count: Self.batchSizeClasses)
    add(1, at: Self.firstBatchSize &+ place)
  }

  func countTurn(nanoseconds: UInt64) {
    let place = DoublingHistogram.place(
      of: max(1, nanoseconds), unit: Self.turnTimeUnitNanoseconds, count: Self.turnTimeClasses)
    add(1, at: Self.firstTurnTime &+ place)
    add(nanoseconds, at: Self.turnTimeSum)
  }

  @inline(__always) func add(_ amount: UInt64, to counter: QueueCounter) {
    add(amount, at: counter.rawValue)
  }

  @inline(__always) private func add(_ amount: UInt64, at place: Int) {
    let cell = cells + place
    cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
  }
}
