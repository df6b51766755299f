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
  /// What the tables lie in: huge pages or ordinary ones.
  var pages: String?
  var origin: Origin

  private enum CodingKeys: CodingKey {
    case room, `case`, subject, metric, unit, median, low, high, samples, peer, ratio, pages
    case machine, kernel, commit, command
  }

  func encode(to encoder: any Encoder) throws {
    var row = encoder.container(keyedBy: CodingKeys.self)
    try row.encode(room, forKey: .room)
    try row.encode(`case`, forKey: .case)
    try row.encode(subject, forKey: .subject)
    try row.encode(metric, forKey: .metric)
    try row.encode(unit, forKey: .unit)
    try row.encode(Self.rounded(median), forKey: .median)
    try row.encode(Self.rounded(low), forKey: .low)
    try row.encode(Self.rounded(high), forKey: .high)
    try row.encode(samples, forKey: .samples)
    try row.encode(peer, forKey: .peer)
    try row.encode(ratio.map(Self.rounded), forKey: .ratio)
    try row.encodeIfPresent(pages, forKey: .pages)
    try row.encode(origin.machine, forKey: .machine)
    try row.encode(origin.kernel, forKey: .kernel)
    try row.encode(origin.commit, forKey: .commit)
    try row.encode(origin.command, forKey: .command)
  }

  private static func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
}

/// Where and of what a figure was taken.
struct Origin {
  var machine: String
  var kernel: String
  var commit: String
  var command: String

  init(commit: String, command: String) {
    self.commit = commit
    self.command = command
    let processors = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let model = processors.split(separator: "\n").first { $0.hasPrefix("model name") }
      .flatMap { $0.split(separator: ":").last }.map { $0.trimmingCharacters(in: .whitespaces) }
    let count = ProcessInfo.processInfo.activeProcessorCount
    machine = "\(model ?? "unknown processor"), \(count) CPUs"
    var names = utsname()
    uname(&names)
    kernel = withUnsafeBytes(of: &names.release) { release in
      String(decoding: release.prefix { $0 != 0 }, as: UTF8.self)
    }
  }
}

extension Origin {
  /// Above a table.
  var heading: String { "\(machine), Linux \(kernel), commit \(commit): \(command)" }
}

func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

extension [Row] {
  /// As bench's JSON files have them.
  func write(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try encoder.encode(self).write(to: URL(fileURLWithPath: path))
  }

  /// A table for people.
  var table: String {
    func pad(_ text: String, _ width: Int, right: Bool = false) -> String {
      let fill = String(repeating: " ", count: Swift.max(0, width - text.count))
      return right ? fill + text : text + fill
    }
    func number(_ value: Double) -> String { String(format: "%.2f", value) }
    let head = [
      "case", "subject", "metric", "unit", "median", "low", "high", "rounds", "ratio to",
    ]
    let lines = map { row in
      [
        row.case, row.subject, row.metric, row.unit, number(row.median), number(row.low),
        number(row.high), String(row.samples),
        row.ratio.map { "\(number($0)) \(row.peer ?? "")" } ?? "-",
      ]
    }
    return ([head] + lines).map { line in
      pad(line[0], 20) + pad(line[1], 10) + pad(line[2], 26) + pad(line[3], 13)
        + line[4...7].map { pad($0, 9, right: true) }.joined() + "  " + line[8]
    }.joined(separator: "\n")
  }
}
