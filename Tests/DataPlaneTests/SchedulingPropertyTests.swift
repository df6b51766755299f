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

  /// Two to six real servers of weights from 1 to 12.
  private func weighted(_ generator: inout Seed) -> [RealServer] {
    (1...Int.random(in: 2...6, using: &generator)).map { number in
      RealServer(
        index: RealServerIndex(rawValue: UInt16(number)),
        weight: .random(in: 1...12, using: &generator),
        address: .v4(IPv4Address(rawValue: 0x0a01_0000 + UInt32(number))),
        macAddress: .realServer(1), isResolved: true)
    }
  }

  /// Connections that stay, of so many clients and ports drawn at random.
  private func open(_ desk: SchedulerDesk, _ count: Int, _ generator: inout Seed) {
    for _ in 0..<count {
      let chosen = desk.schedule(
        client: .random(in: 1...UInt32.max, using: &generator),
        port: .random(in: 1024...65535, using: &generator))
      if let chosen { desk.words[Int(chosen)] += 1 }
    }
  }

  /// In any whole round, wherever it begins.
  @Test(arguments: [Scheduler.rr, .wrr]) func roundsAreExact(_ scheduler: Scheduler) throws {
    for seed in UInt64(0)..<20 {
      var generator = Seed(seed)
      let desk = try SchedulerDesk(seed: seed)
      let list = weighted(&generator)
      try desk.adopt(scheduler, list)
      open(desk, Int.random(in: 0...100, using: &generator), &generator)
      for realServer in list { desk.words[Int(realServer.index.rawValue)] = 0 }
      let turns = list.map { scheduler == .rr ? 1 : UInt64($0.weight) }
      open(desk, 7 * Int(turns.reduce(0, +)), &generator)
      for (realServer, turns) in zip(list, turns) {
        #expect(desk.words[Int(realServer.index.rawValue)] == 7 * turns, "seed \(seed)")
      }
    }
  }

  /// Whoever took the last one had the least before it: at any time, of any two a and b,
  /// (a - 1) / weight ≤ b / weight, and for `sed` and `nq` a / weight ≤ (b + 1) / weight, where
  /// `nq` gives idle ones their first.
  @Test(arguments: [Scheduler.lc, .wlc, .sed, .nq])
  func countsAreAsEqualAsTheyCanBe(_ scheduler: Scheduler) throws {
    for seed in UInt64(0)..<20 {
      var generator = Seed(seed)
      let desk = try SchedulerDesk(seed: seed)
      let list = weighted(&generator)
      try desk.adopt(scheduler, list)
      for _ in 0..<60 {
        open(desk, 1, &generator)
        let counts = list.map { realServer in
          (
            count: desk.words[Int(realServer.index.rawValue)],
            weight: scheduler == .lc ? 1 : UInt64(realServer.weight)
          )
        }
        for one in counts where one.count > (scheduler == .nq ? 1 : 0) {
          for other in counts {
            let isFair =
              scheduler == .lc || scheduler == .wlc
              ? (one.count - 1) * other.weight <= other.count * one.weight
              : one.count * other.weight <= (other.count + 1) * one.weight
            #expect(isFair, "\(scheduler), seed \(seed): \(counts)")
          }
        }
      }
    }
  }

  /// `fo` gives all to the heaviest; `ovf` to the heaviest that has no more than its weight, and
  /// then to none; `dh` all of a VIP to one; `lblc` to one until it has more than its weight and
  /// another less than half of its own.
  @Test(arguments: [Scheduler.fo, .ovf, .dh, .lblc])
  func thoseThatDoNotShare(_ scheduler: Scheduler) throws {
    for seed in UInt64(0)..<20 {
      var generator = Seed(seed)
      let desk = try SchedulerDesk(seed: seed)
      let list = weighted(&generator)
      try desk.adopt(scheduler, list)
      let sum = Int(list.reduce(0) { $0 + $1.weight })
      let most = list.map(\.weight).max()!
      let first = try #require(desk.schedule(client: 1, port: 1))
      let firstWeight = list[Int(first) - 1].weight
      open(desk, scheduler == .lblc ? Int(firstWeight) + 1 : 2 * sum, &generator)
      let counts = list.map { Int(desk.words[Int($0.index.rawValue)]) }
      switch scheduler {
      case .ovf: #expect(counts == list.map { Int($0.weight) + 1 }, "seed \(seed)")
      default:
        #expect(counts.count { $0 > 0 } == 1 && counts[Int(first) - 1] > 0, "seed \(seed)")
        if scheduler == .fo { #expect(firstWeight == most, "seed \(seed)") }
      }
    }
  }

  /// `lblcr`'s set gets another one when all of it have more than their weight and somebody has
  /// less than half of its: the least loaded of all. Else its own least loaded gets more.
  @Test func aFullSetGrows() throws {
    for seed in UInt64(0)..<20 {
      var generator = Seed(seed)
      let desk = try SchedulerDesk(seed: seed)
      let list = weighted(&generator)
      try desk.adopt(.lblcr, list)
      var set: Set<UInt16> = []
      for _ in 0..<100 {
        let counts = list.map {
          (active: desk.words[Int($0.index.rawValue)], weight: UInt64($0.weight))
        }
        let chosen = try #require(desk.schedule(client: 1, port: 1))
        let (active, weight) = counts[Int(chosen) - 1]
        func isLeast(of some: some Sequence<UInt16>) -> Bool {
          some.allSatisfy {
            active * counts[Int($0) - 1].weight <= counts[Int($0) - 1].active * weight
          }
        }
        let hasRoom = counts.contains { $0.active * 2 < $0.weight }
        let isFull = set.allSatisfy { counts[Int($0) - 1].active > counts[Int($0) - 1].weight }
        if isFull, hasRoom {
          #expect(isLeast(of: list.map(\.index.rawValue)), "seed \(seed): \(counts)")
          #expect(!set.contains(chosen), "seed \(seed): \(counts)")
        } else {
          #expect(set.contains(chosen) && isLeast(of: set), "seed \(seed): \(counts)")
        }
        set.insert(chosen)
        desk.words[Int(chosen)] += 1
      }
      #expect(set.count == list.count, "seed \(seed)")
    }
  }

  /// 6 000 connections of random clients against the slots that each has: Pearson's test, of which
  /// five degrees of freedom go beyond 45 once in 10⁸ times.
  @Test(arguments: [Scheduler.sh, .mh]) func sharesFollowSlots(_ scheduler: Scheduler) throws {
    let seed = UInt64.random(in: 0..<(1 << 32))
    var generator = Seed(seed)
    let list = weighted(&generator)
    let desk = try SchedulerDesk(seed: seed)
    try desk.adopt(scheduler, list)
    open(desk, 6000, &generator)
    let total = scheduler == .sh ? 256 : 4093
    let slots = Self.slots(of: list, total, inLeastTerms: scheduler == .mh)
    let deviation = zip(list, slots).reduce(0.0) { sum, pair in
      let expected = 6000 * Double(pair.1) / Double(total)
      let count = Double(desk.words[Int(pair.0.index.rawValue)])
      return sum + (count - expected) * (count - expected) / expected
    }
    #expect(deviation < 45, "\(scheduler), seed \(seed): \(list.map(\.weight))")
  }

  /// Round by round each takes as many as its weight, in list order, until none is left:
  /// `ip_vs_sh_reassign`, `ip_vs_mh_populate`.
  private static func slots(
    of list: [RealServer], _ total: Int, inLeastTerms: Bool
  ) -> [Int] {
    let divisor = inLeastTerms ? list.reduce(0) { greatestCommonDivisor($0, $1.weight) } : 1
    var slots = list.map { _ in 0 }
    var left = total
    while true {
      for place in list.indices {
        let taken = min(left, Int(list[place].weight / divisor))
        slots[place] += taken
        left -= taken
        if left == 0 { return slots }
      }
    }
  }

  /// Lots of two, and what `maglev` bounds: 6 000 connections that stay.
  @Test(arguments: [Scheduler.twos, .maglev]) func sharesFollowWeights(
    _ scheduler: Scheduler
  ) throws {
    let seed = UInt64.random(in: 0..<(1 << 32))
    var generator = Seed(seed)
    let list = weighted(&generator)
    let desk = try SchedulerDesk(seed: seed)
    try desk.adopt(scheduler, list)
    open(desk, 6000, &generator)
    let sum = Double(list.reduce(0) { $0 + $1.weight })
    for realServer in list {
      let share = Double(desk.words[Int(realServer.index.rawValue)]) / 6000
      let expected = Double(realServer.weight) / sum
      #expect(
        abs(share - expected) < (scheduler == .maglev ? 0.06 : 0.03),
        "\(scheduler), seed \(seed): weight \(realServer.weight), \(share), not \(expected)")
    }
  }
}
