// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Who makes checks: a `CheckLoop`, or a test.
public protocol CheckSource: Sendable {
  /// Makes these and no others from now on, those that were made before as they stand, and
  /// returns those that are down.
  ///
  /// - Parameter neighbors: where real servers are whose VIP is asked, as far as that is known.
  func make(
    _ checks: Set<CheckInstance>, neighbors: [IPAddress: Neighbor]
  ) -> Set<CheckInstance>

  /// Says that a check has come up or gone down since, for one reader; several may be one.
  var changes: AsyncStream<Void> { get }

  /// All that are made, in the order they came.
  func statuses() -> [CheckStatus]
}

/// A check and its results so far.
public struct CheckStatus: Hashable, Sendable {
  public var instance: CheckInstance
  /// Tells it from others with the same words; not given out twice.
  public var number: UInt64
  public var isUp: Bool
  /// How long it has been up or down.
  public var sinceSeconds = 0.0
  public var successes: UInt64 = 0
  public var failures: UInt64 = 0
  /// How often it came up or went down.
  public var changes: UInt64 = 0
  /// All results' durations together, which have a millisecond or two more where many are asked at
  /// once.
  public var totalSeconds = 0.0
  /// The last result's.
  public var lastSeconds = 0.0
  /// Why the last one failed; nil where it did not, or there is none.
  public var lastFailure: String?

  public init(instance: CheckInstance, number: UInt64, isUp: Bool) {
    self.instance = instance
    self.number = number
    self.isUp = isUp
  }
}
