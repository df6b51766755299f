// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Collects the figures of a run and says them.
final class Report {
  let rounds: Int
  let isSmoke: Bool
  private let room: String
  private let origin: Origin
  private var rows: [Row] = []

  init(room: String, rounds: Int, isSmoke: Bool, origin: Origin) {
    self.room = room
    self.rounds = rounds
    self.isSmoke = isSmoke
    self.origin = origin
  }

  /// - Parameters:
  ///   - samples: one per round.
  ///   - peer: what `peerSamples` are of; the ratio is taken within the rounds.
  func add(
    _ name: String, _ metric: String, _ unit: String, _ samples: [Double], peer: String? = nil,
    peerSamples: [Double] = []
  ) {
    let ratios = zip(samples, peerSamples).map { $0 / $1 }
    rows.append(
      Row(
        room: room, case: name, subject: "martinet", metric: metric, unit: unit,
        median: median(samples), low: samples.min() ?? 0, high: samples.max() ?? 0,
        samples: samples.count, peer: ratios.isEmpty ? nil : peer,
        ratio: ratios.isEmpty ? nil : median(ratios), pages: nil, origin: origin))
    progress("  \(metric): \(String(format: "%.2f", median(samples))) \(unit)")
  }

  func progress(_ line: String) {
    FileHandle.standardError.write(Data((line + "\n").utf8))
  }

  func finish(json: String?) throws {
    print("\(origin.heading)\n\(rows.table)")
    if let json { try rows.write(to: json) }
  }
}
