// SPDX-License-Identifier: Apache-2.0

/// Neighbours for people.
extension [NeighborReport] {
  /// A title, and a line for each.
  public var text: String {
    let title = [
      "REAL SERVER", "STATE", "FOR", "MAC", "CHANGES", "BEFORE", "SILENCES", "",
    ]
    return Self.line(title) + map { Self.line($0.cells) }.joined()
  }

  private static func line(_ cells: [String]) -> String {
    let line = zip(cells, [22, 10, 7, 17, 7, 17, 8, 0]).map(padded).joined(separator: " ")
    return String(line.reversed().drop { $0 == " " }.reversed()) + "\n"
  }
}

extension NeighborReport {
  fileprivate var cells: [String] {
    [
      "\(address)", state.rawValue, DrainText.time(ageSeconds),
      macAddress?.description ?? "-", "\(changes)", previousMACAddress?.description ?? "-",
      "\(silences)",
      [isFlapping ? "flapping" : "", isDuplicate ? "duplicate" : ""].filter { !$0.isEmpty }
        .joined(separator: ", "),
    ]
  }
}
