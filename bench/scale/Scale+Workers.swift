// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation

extension Scale {
  private static let sizes = [("1k", 1 << 10), ("1m", 1 << 20), ("16m", 1 << 24)]
  private static let smokeSizes = [("1k", 1 << 10), ("16k", 1 << 14)]

  /// Packets of established connections: by one worker, and spread over as many as there are CPUs,
  /// which share memory and its caches but nothing in it.
  func measureWorkers(_ report: Report) throws {
    let counts = Crew.cpus.count == 1 ? [1] : [1, Crew.cpus.count]
    for (name, flows) in report.isSmoke ? Self.smokeSizes : Self.sizes {
      report.progress("hits-\(name): preparing")
      let crews = try counts.map { try Self.crew(of: $0, flows: flows, rounds: report.rounds) }
      var rates: [[Double]] = counts.map { _ in [] }
      for _ in 0..<report.rounds {
        for (index, crew) in crews.enumerated() {
          let packets = report.isSmoke ? 1 << 12 : 1 << 21
          let nanoseconds = Crew.run(crew) { $0.pass(packets) }
          rates[index].append(nanoseconds.reduce(0) { $0 + 1000 * Double(packets) / Double($1) })
        }
      }
      for (index, count) in counts.enumerated() {
        report.add(
          "hits-\(name)-workers-\(count)", "rate", "Mpps", rates[index],
          peer: index == 0 ? nil : "one worker", peerSamples: index == 0 ? [] : rates[0])
      }
    }
  }

  /// Workers with all of their share of the connections established.
  private static func crew(of count: Int, flows: Int, rounds: Int) throws -> [Run] {
    let workload = Workload(name: "", flows: flows / count)
    let order = Run.order(workload, seed: Loop.seed)
    let runs = try (0..<count).map { _ in
      Run(try MartinetSubject(workload, seed: Loop.seed), workload, order: order)
    }
    _ = Crew.run(runs) { run in
      run.prepare()
      run.pass(1 << 14)
    }
    return runs
  }
}
