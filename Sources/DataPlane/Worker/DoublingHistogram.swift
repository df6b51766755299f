// SPDX-License-Identifier: Apache-2.0

/// How often values were how large: each class takes values up to twice as large as the one before.
public struct DoublingHistogram: Hashable, Sendable {
  /// By class, the smallest values first; the last class takes all that are larger.
  public var counts: [UInt64]
  /// Of all values, in the unit that they are counted in.
  public var sum: UInt64

  public init(counts: [UInt64] = [], sum: UInt64 = 0) {
    self.counts = counts
    self.sum = sum
  }

  /// Of the same classes.
  static func += (left: inout Self, right: Self) {
    left.counts = zip(left.counts, right.counts).map { $0 &+ $1 }
    left.sum &+= right.sum
  }

  public var total: UInt64 { counts.reduce(0, &+) }

  /// The largest value of a class that is not the last, where the first takes values up to `unit`.
  public static func bound(of place: Int, unit: UInt64) -> UInt64 { unit << UInt64(place) }

  /// The class of a value above zero in a histogram of `count` classes.
  @inline(__always) static func place(of value: UInt64, unit: UInt64, count: Int) -> Int {
    let doublings = UInt64.bitWidth &- ((value &- 1) / unit).leadingZeroBitCount
    return min(doublings, count &- 1)
  }
}
