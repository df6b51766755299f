// SPDX-License-Identifier: Apache-2.0
import Foundation

/// One figure of a benchmark, as bench's JSON files carry it.
struct Row: Encodable {
  var room = "loop"
  var `case`: String
  var subject: String
  var metric: String
  var unit: String
  var median: Double
  var low: Double
  var high: Double
  var samples: Int
  var peer: String?
  /// `subject` over `peer`: the median of the ratios taken within each round.
  var ratio: Double?
}

func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

extension [Row] {
  /// A table for people.
  var table: String {
    func pad(_ text: String, _ width: Int, right: Bool = false) -> String {
      let fill = String(repeating: " ", count: Swift.max(0, width - text.count))
      return right ? fill + text : text + fill
    }
    func number(_ value: Double?) -> String {
      value.map { String(format: "%.2f", $0) } ?? "-"
    }
    let head = ["case", "subject", "ns/packet", "low", "high", "rounds", "ratio"]
    let lines = map {
      [
        $0.case, $0.subject, number($0.median), number($0.low), number($0.high),
        String($0.samples), number($0.ratio),
      ]
    }
    return ([head] + lines).map { line in
      pad(line[0], 24) + pad(line[1], 10) + line[2...].map { pad($0, 11, right: true) }.joined()
    }.joined(separator: "\n")
  }
}
