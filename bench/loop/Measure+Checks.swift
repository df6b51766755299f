// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import DataPlane
import Foundation

extension Measure {
  /// Of each round.
  private static let pairs = 8

  /// Packets of established connections on the last CPU, alone and while this process makes a
  /// thousand checks a second on the first: many pairs of short slices, in the order alone, beside,
  /// beside, alone, so that what drifts more slowly than that is in neither.
  func measureBesideChecks() throws -> [Row] {
    let name = "beside-checks"
    guard Crew.cpus.count > 1 else {
      progress("\(name): left out, there is one CPU")
      return []
    }
    progress("\(name): preparing")
    let workload = Workload(name: name, flows: options.smoke ? 1000 : 1_000_000)
    let run = Run(
      try MartinetSubject(workload, seed: Loop.seed), workload,
      order: Run.order(workload, seed: Loop.seed))
    // Some 0.4 s, frames being made between the turns.
    let packets = 1 << 23
    _ = Crew.run([run]) {
      $0.prepare()
      $0.pass(packets)
    }
    let checks = Handed(try RunningChecks())
    var (alone, beside) = ([Double](), [Double]())
    for pair in 0..<options.roundCount * (options.smoke ? 2 : Self.pairs) {
      for withChecks in pair % 2 == 0 ? [false, true] : [true, false] {
        if withChecks { try Crew.onFirstCPU { checks.value.start() } }
        let nanoseconds = Crew.run([run]) { $0.pass(packets) }[0]
        if withChecks { try Crew.onFirstCPU { try checks.value.stop() } }
        let time = Double(nanoseconds) / Double(packets)
        if withChecks { beside.append(time) } else { alone.append(time) }
      }
    }
    let shares = zip(beside, alone).map { 100 * $0 / $1 }
    progress("  \(String(format: "%.2f", median(shares))) % of the time alone")
    return [
      row(name, "time per packet", "ns", beside, peer: "alone", ratio: median(shares) / 100),
      row(name, "of the time alone", "%", shares, low: 0.25, high: 0.75),
      row(name, "time per packet", "ns", alone, subject: "alone"),
    ]
  }

  /// - Parameters:
  ///   - low: the share of the samples that is below the row's `low`.
  ///   - high: the same of `high`.
  private func row(
    _ name: String, _ metric: String, _ unit: String, _ values: [Double],
    subject: String = "martinet", low: Double = 0, high: Double = 1, peer: String? = nil,
    ratio: Double? = nil
  ) -> Row {
    Row(
      case: name, subject: subject, metric: metric, unit: unit, median: median(values),
      low: quantile(low, values), high: quantile(high, values), samples: values.count, peer: peer,
      ratio: ratio, pages: nil, origin: options.origin)
  }
}
