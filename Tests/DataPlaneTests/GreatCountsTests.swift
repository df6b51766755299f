// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

@testable import DataPlane

/// Up to as many connections as `ConnectionLoads` holds, against weights up to ipvsadm's greatest.
@Suite struct GreatCountsTests {
  private static let mostConnections = UInt64(UInt32.max)
  private static let greatestWeight = UInt32.max >> 1

  /// Overhead for weight is 2 + 1/(2³¹ - 1) of the first, and 2 or 3 of the second; `sed` counts
  /// the connection to come, so that it is the same with one connection less.
  @Test(
    arguments: [
      (.lc, 1, 2), (.wlc, 2, 2), (.wlc, 3, 1), (.lblc, 2, 2), (.lblc, 3, 1), (.lblcr, 2, 2),
      (.lblcr, 3, 1), (.sed, 1, 2), (.sed, 2, 1), (.nq, 1, 2), (.nq, 2, 1),
    ] as [(Scheduler, UInt64, UInt16)])
  func theGreatestOfAll(_ scheduler: Scheduler, others: UInt64, chosen: UInt16) throws {
    let desk = try SchedulerDesk()
    desk.words[1] = Self.mostConnections
    desk.words[2] = others
    try desk.adopt(
      scheduler, [Self.realServer(1, weight: Self.greatestWeight), Self.realServer(2, weight: 1)])
    #expect(desk.schedule(client: 1, port: 1) == chosen)
  }

  /// As products of 128 bits compare.
  @Test(arguments: [Scheduler.lc, .wlc, .sed, .nq, .lblc, .lblcr, .twos])
  func productsAreWhole(_ scheduler: Scheduler) throws {
    let counts: [UInt64] = [1, 1 << 23, 1 << 25, 1 << 26, 1 << 31, Self.mostConnections]
    let weights: [UInt32] = [1, 2, 65535, 1 << 24, 1 << 30, Self.greatestWeight]
    for count in [2, 6, 100] {
      let seed = UInt64.random(in: 0..<(1 << 32))
      var generator = Seed(seed)
      let desk = try SchedulerDesk(seed: seed)
      var linear = LinearScheduler(scheduler, hashKey: desk.hashKey)
      func number() -> UInt64 {
        counts.randomElement(using: &generator)! - UInt64.random(in: 0...1, using: &generator)
      }
      for _ in 0..<50 {
        let list = (1...UInt16(count)).map {
          Self.realServer($0, weight: weights.randomElement(using: &generator)!)
        }
        for realServer in list {
          desk.words[Int(realServer.index.rawValue)] = number() << 32 | number()
        }
        try desk.adopt(scheduler, list)
        linear.adopt(list)
        let expected = linear.schedule(client: 1, port: 1) { desk.words[Int($0)] }
        let chosen = desk.schedule(client: 1, port: 1)
        try #require(chosen == expected, "\(scheduler), \(count), seed \(seed)")
      }
    }
  }

  private static func realServer(
    _ index: UInt16, weight: UInt32
  ) -> SnapshotSpecification.RealServer {
    .init(
      index: RealServerIndex(rawValue: index), weight: weight, macAddress: .realServer(1),
      isResolved: true)
  }
}
