// SPDX-License-Identifier: Apache-2.0

/// `martinet checks`: a line per check.
public enum CheckText {
  public static func table(_ checks: [CheckReport]) -> String {
    let rows = checks.map { check in
      [
        check.check, check.isUp ? "up" : "down", duration(check.sinceSeconds),
        milliseconds(check.lastSeconds), String(check.successes), String(check.failures),
        check.lastFailure ?? "",
      ]
    }
    let table = [["Check", "State", "Since", "Last", "Successes", "Failures", "Cause"]] + rows
    let widths = (0..<7).map { column in table.map { $0[column].utf8.count }.max() ?? 0 }
    return table.map { row in
      let cells = zip(row, widths).map { padded($0, $1) }
      var line = cells.joined(separator: "  ")
      while line.hasSuffix(" ") { line.removeLast() }
      return line + "\n"
    }.joined()
  }

  /// The largest unit that is whole: `45 s`, `12 min`, `30 h`, `9 d`.
  private static func duration(_ seconds: Double) -> String {
    switch seconds {
    case ..<120: "\(Int(seconds)) s"
    case ..<7200: "\(Int(seconds / 60)) min"
    case ..<172_800: "\(Int(seconds / 3600)) h"
    default: "\(Int(seconds / 86_400)) d"
    }
  }

  private static func milliseconds(_ seconds: Double) -> String {
    "\((seconds * 10_000).rounded() / 10) ms"
  }
}
