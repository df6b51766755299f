// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// A receive queue's rates per second, smoothed as those of services are.
public struct QueueRates: Hashable, Sendable {
  /// Of what its worker forwards.
  public var forwarded = Rates()
  /// Of frames that are not forwarded.
  public var drops: [DropReason: Rates] = [:]

  public init() {}
}

/// What a receive queue's rates come of.
struct QueueTally {
  private var forwarded = RateEstimator()
  private var drops: [DropReason: RateEstimator] = [:]

  /// Takes the totals at the end of an interval.
  mutating func tick(_ queue: QueueStatistics) {
    forwarded.tick(Statistics(queue.forwarded))
    for (reason, packets) in queue.drops {
      drops[reason, default: RateEstimator()]
        .tick(Statistics(inPackets: packets, inBytes: queue.dropBytes[reason] ?? 0))
    }
  }

  var rates: QueueRates {
    var rates = QueueRates()
    rates.forwarded = forwarded.rates
    rates.drops = drops.mapValues(\.rates)
    return rates
  }
}
