// SPDX-License-Identifier: Apache-2.0

/// Rates as the kernel's IPVS estimates them (net/netfilter/ipvs/ip_vs_est.c): every 2 s the
/// average moves a quarter of the way to the last interval's rate.
///
/// Connections and packets are scaled by 2^10, bytes by 2^5, so that slow rates do not vanish.
struct RateEstimator {
  static var interval: Duration { .seconds(2) }

  private var last: Statistics
  private var connections: Int64 = 0
  private var inPackets: Int64 = 0
  private var inBytes: Int64 = 0

  init(from statistics: Statistics = Statistics()) {
    last = statistics
  }

  /// Takes the totals at the end of an interval.
  mutating func tick(_ now: Statistics) {
    Self.approach(&connections, now.connections &- last.connections, shift: 9)
    Self.approach(&inPackets, now.inPackets &- last.inPackets, shift: 9)
    Self.approach(&inBytes, now.inBytes &- last.inBytes, shift: 4)
    last = now
  }

  /// `ip_vs_zero_estimator`: the averages begin anew, the totals go on.
  mutating func zero() {
    self = RateEstimator(from: last)
  }

  var rates: Rates {
    Rates(
      connections: UInt64(truncatingIfNeeded: connections &+ 0x1ff) >> 10,
      inPackets: UInt64(truncatingIfNeeded: inPackets &+ 0x1ff) >> 10,
      inBytes: UInt64(truncatingIfNeeded: inBytes &+ 0xf) >> 5)
  }

  /// `shift` scales and divides by the two seconds of the interval.
  private static func approach(_ average: inout Int64, _ difference: UInt64, shift: Int) {
    average &+= (Int64(truncatingIfNeeded: difference) << shift &- average) >> 2
  }
}
