// SPDX-License-Identifier: Apache-2.0

/// Half-open connections that yielded to new ones, by how long their clients had been silent: the
/// shorter, the faster the table is flooded.
public struct EvictionAges: Hashable, Sendable {
  /// Of silence: each class ends below its bound, and at the next one's beginning.
  public static let boundsSeconds = [4, 8, 16, 32, 64]
  static let classCount = 5

  /// As many as there are bounds.
  public var counts: [UInt64]

  public init(counts: [UInt64] = [0, 0, 0, 0, 0]) { self.counts = counts }

  public var total: UInt64 { counts.reduce(0, &+) }

  /// The class of a silence; the last one takes what is longer.
  static func index(silentMilliseconds: UInt32) -> Int {
    let doublings = UInt32.bitWidth &- (silentMilliseconds / 4000).leadingZeroBitCount
    return min(doublings, classCount &- 1)
  }
}
