// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

@testable import DataPlane

/// `twos` as ip_vs_twos.c of Linux has it, which Debian's user-mode kernel lacks.
@Suite struct TwosTests {
  /// A real server as the rule sees it.
  private struct Candidate {
    var weight: UInt32
    var active: UInt64
    var inactive: UInt64
    /// A weight of 0 does not accept either.
    var accepts: Bool

    var overhead: UInt64 { active * 256 + inactive }
  }

  /// How likely each is to be chosen, from every pair of lots: both are drawn evenly from 0 to the
  /// sum of the weights; one takes the first at which the weights so far reach it; the second one's
  /// is better where overhead₁ · weight₂ > overhead₂ · weight₁.
  private static func likelihoods(_ list: [Candidate]) -> [Double] {
    let accepting = list.indices.filter { list[$0].accepts && list[$0].weight > 0 }
    var owners: [Int] = []
    for place in accepting {
      // 0 is the first one's, too.
      let lots = Int(list[place].weight) + (owners.isEmpty ? 1 : 0)
      owners += Array(repeating: place, count: lots)
    }
    var pairs = list.map { _ in 0 }
    for first in owners {
      for second in owners {
        let (one, other) = (list[first], list[second])
        let isSecondLess =
          one.overhead * UInt64(other.weight) > other.overhead * UInt64(one.weight)
        pairs[isSecondLess ? second : first] += 1
      }
    }
    return pairs.map { Double($0) / Double(owners.count * owners.count) }
  }

  private static func candidates(_ generator: inout Seed) -> [Candidate] {
    (0..<Int.random(in: 2...6, using: &generator)).map { place in
      Candidate(
        weight: .random(in: place == 0 ? 1...12 : 0...12, using: &generator),
        active: .random(in: 0...4, using: &generator),
        inactive: .random(in: 0...600, using: &generator),
        accepts: place == 0 || Int.random(in: 0..<5, using: &generator) > 0)
    }
  }

  /// 6000 decisions under counts that stay, against the likelihoods by Pearson's test: five degrees
  /// of freedom go beyond 45 once in 10⁸ times.
  @Test(arguments: UInt64(0)..<40) func decisionsFollowTheKernelsLots(seed: UInt64) throws {
    var generator = Seed(seed)
    let candidates = Self.candidates(&generator)
    let desk = try SchedulerDesk(seed: seed)
    let list = candidates.enumerated().map { place, candidate in
      SnapshotSpecification.RealServer(
        index: RealServerIndex(rawValue: UInt16(place + 1)), weight: candidate.weight,
        upperThreshold: candidate.accepts ? 0 : 1, macAddress: .realServer(1), isResolved: true)
    }
    for (realServer, candidate) in zip(list, candidates) {
      let active = candidate.accepts ? candidate.active : candidate.active + 1
      desk.words[Int(realServer.index.rawValue)] = candidate.inactive << 32 | active
    }
    try desk.adopt(.twos, list)
    var counts = list.map { _ in 0 }
    for _ in 0..<6000 {
      let chosen = desk.schedule(
        client: .random(in: 1...UInt32.max, using: &generator),
        port: .random(in: 1...UInt16.max, using: &generator))
      counts[Int(try #require(chosen)) - 1] += 1
    }
    // What is seldom is counted together.
    var (deviation, seldom) = (0.0, (count: 0.0, expected: 0.0))
    for (count, likelihood) in zip(counts, Self.likelihoods(candidates)) {
      let (count, expected) = (Double(count), 6000 * likelihood)
      #expect(expected > 0 || count == 0)
      if expected < 10 {
        seldom = (seldom.count + count, seldom.expected + expected)
      } else {
        deviation += (count - expected) * (count - expected) / expected
      }
    }
    #expect(deviation < 45, "\(counts), not as \(Self.likelihoods(candidates))")
    #expect(abs(seldom.count - seldom.expected) < 6 + 6 * seldom.expected.squareRoot())
  }
}
