// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import DataPlane
import Foundation

extension Measure {
  /// Packets of established connections on the last CPU, alone and while this process makes a
  /// thousand checks a second on the first, in turns.
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
    let packets = options.smoke ? 1 << 12 : 1 << 24
    _ = Crew.run([run]) {
      $0.prepare()
      $0.pass(packets)
    }
    let checks = try RunningChecks()
    func nanoseconds(withChecks: Bool) throws -> Double {
      if withChecks { checks.start() }
      // New checks begin over a second.
      Thread.sleep(forTimeInterval: 1.2)
      let nanoseconds = Crew.run([run]) { $0.pass(packets) }[0]
      if withChecks {
        let answered = try checks.stop()
        guard answered >= RunningChecks.perSecond * 9 / 10 else {
          throw ChecksFailed(description: "only \(answered) checks were answered")
        }
      }
      return Double(nanoseconds) / Double(packets)
    }
    var (alone, beside) = ([Double](), [Double]())
    for round in 0..<options.roundCount {
      for withChecks in round % 2 == 0 ? [false, true] : [true, false] {
        let time = try nanoseconds(withChecks: withChecks)
        if withChecks { beside.append(time) } else { alone.append(time) }
      }
    }
    let ratios = zip(beside, alone).map { $0 / $1 }
    progress("  \(String(format: "%.4f", median(ratios))) of the time alone")
    return [("martinet", beside), ("alone", alone)].map { subject, values in
      let isBeside = subject == "martinet"
      return Row(
        case: name, subject: subject, metric: "time per packet", unit: "ns",
        median: median(values), low: values.min() ?? 0, high: values.max() ?? 0,
        samples: values.count, peer: isBeside ? "alone" : nil,
        ratio: isBeside ? median(ratios) : nil, pages: nil, origin: options.origin)
    }
  }
}
