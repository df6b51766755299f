// SPDX-License-Identifier: Apache-2.0

extension Collection where Element == String {
  /// The one that is the fewest changes of an octet away from `name`; nil where there is none.
  public func nearest(to name: String) -> String? {
    self.min { $0.editDistance(to: name) < $1.editDistance(to: name) }
  }
}

extension String {
  /// Levenshtein's: insertions, deletions and replacements of octets, of the first 64 of each.
  fileprivate func editDistance(to other: String) -> Int {
    let (left, right) = (Array(utf8.prefix(64)), Array(other.utf8.prefix(64)))
    var row = Array(0...right.count)
    for (i, octet) in left.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, otherOctet) in right.enumerated() {
        let replaced = diagonal + (octet == otherOctet ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = Swift.min(replaced, row[j] + 1, diagonal + 1)
      }
    }
    return row[right.count]
  }
}
