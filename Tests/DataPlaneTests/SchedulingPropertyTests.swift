// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

@testable import DataPlane

/// What holds for every scheduler, over random edits.
@Suite struct SchedulingPropertyTests {
  typealias RealServer = SnapshotSpecification.RealServer

  /// Up to twelve of twenty real servers in random order: weights up to ipvsadm's greatest,
  /// thresholds, some drained, some down.
  private func list(_ generator: inout Seed) -> [RealServer] {
    let count = Int.random(in: 0...12, using: &generator)
    return (1...20).shuffled(using: &generator).prefix(count).map { number in
      let weights: [UInt32] = [0, 1, 1, 2, 3, 100, 65535, .max >> 1]
      let upper: UInt32 = Bool.random(using: &generator) ? 0 : .random(in: 1...6, using: &generator)
      return RealServer(
        index: RealServerIndex(rawValue: UInt16(number)),
        weight: weights.randomElement(using: &generator)!,
        lastWeight: weights.randomElement(using: &generator)!,
        address: .v4(IPv4Address(rawValue: 0x0a01_0000 + UInt32(number))), upperThreshold: upper,
        lowerThreshold: upper == 0 ? 0 : .random(in: 0...upper, using: &generator),
        macAddress: Int.random(in: 0..<8, using: &generator) == 0 ? nil : .realServer(1),
        isResolved: Int.random(in: 0..<4, using: &generator) != 0)
    }
  }

  /// Down, quiesced or overloaded ones get nothing, after any edits and under any counts; but
  /// `lblc` does not ask whether the one that a destination has is overloaded.
  @Test(arguments: Scheduler.allCases) func onlyThoseThatMayAreChosen(_ scheduler: Scheduler) throws
  {
    let seed = UInt64.random(in: 0..<(1 << 32))
    var generator = Seed(seed)
    let desk = try SchedulerDesk(seed: seed)
    var (chosenCount, last) = (0, UInt16(0))
    for _ in 0..<200 {
      let list = list(&generator)
      let flags = SchedulerFlags(rawValue: .random(in: 0...7, using: &generator))
      try desk.adopt(scheduler, flags: flags, list)
      for _ in 0..<40 {
        let client = UInt32.random(in: 1...500, using: &generator)
        if let chosen = desk.schedule(client: client, port: 1024) {
          chosenCount += 1
          let realServer = try #require(
            list.first { $0.index.rawValue == chosen }, "\(scheduler), seed \(seed)")
          let word = desk.words[Int(chosen)]
          let total = ConnectionLoads.active(word) + ConnectionLoads.inactive(word)
          let may =
            realServer.weight > 0 && realServer.isResolved && realServer.macAddress != nil
            && (realServer.upperThreshold == 0 || total < UInt64(realServer.upperThreshold)
              || (scheduler == .lblc && chosen == last))
          #expect(may, "\(scheduler), seed \(seed): \(realServer) with \(total)")
          last = chosen
          desk.words[Int(chosen)] += Bool.random(using: &generator) ? 1 : 1 << 32
        }
        // Another one's connections come and go.
        desk.words[Int.random(in: 1...20, using: &generator)] =
          UInt64.random(in: 0...4, using: &generator) << 32 | .random(in: 0...4, using: &generator)
      }
    }
    // `dh` has one real server per list, most of them not available.
    #expect(chosenCount > 500, "\(scheduler), seed \(seed)")
  }

  /// Those that share by weight: 6 000 connections that stay, on weights of 1 to 12.
  @Test(arguments: [Scheduler.wrr, .wlc, .sed, .nq, .sh, .mh, .maglev, .twos])
  func sharesFollowWeights(_ scheduler: Scheduler) throws {
    let seed = UInt64.random(in: 0..<(1 << 32))
    var generator = Seed(seed)
    let count = Int.random(in: 2...6, using: &generator)
    let list = (1...count).map { number in
      RealServer(
        index: RealServerIndex(rawValue: UInt16(number)),
        weight: .random(in: 1...12, using: &generator),
        address: .v4(IPv4Address(rawValue: 0x0a01_0000 + UInt32(number))),
        macAddress: .realServer(1), isResolved: true)
    }
    let desk = try SchedulerDesk(seed: seed)
    try desk.adopt(scheduler, list)
    for _ in 0..<6000 {
      let chosen = desk.schedule(
        client: .random(in: 1...UInt32.max, using: &generator),
        port: .random(in: 1024...65535, using: &generator))
      desk.words[Int(try #require(chosen))] += 1
    }
    let sum = Double(list.reduce(0) { $0 + $1.weight })
    for realServer in list {
      let share = Double(desk.words[Int(realServer.index.rawValue)]) / 6000
      let expected = Double(realServer.weight) / sum
      // 256 slots in whole weights, and lots, share coarsely; rounds and counts exactly.
      let tolerance = [.sh, .mh, .maglev].contains(scheduler) ? 0.06 : 0.03
      #expect(
        abs(share - expected) < tolerance,
        "\(scheduler), seed \(seed): weight \(realServer.weight), \(share), not \(expected)")
    }
  }
}
