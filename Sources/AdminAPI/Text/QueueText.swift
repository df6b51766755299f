// SPDX-License-Identifier: Apache-2.0

extension [QueueReport] {
  /// A line per receive queue and interface: what came in by it; on a queue's first line too how
  /// full its tables are and what had to yield.
  public var text: String {
    let titles = [
      "Queue", "Interface", "Received", "Forwarded", "Answered", "Dropped", "IPv4 records",
      "IPv6 records", "Unrecorded", "Evicted", "after",
    ]
    let rows = [titles] + flatMap(\.rows)
    let widths = titles.indices.map { column in
      rows.compactMap { column < $0.count ? $0[column].utf8.count : nil }.max() ?? 0
    }
    return rows.map { row in
      zip(row, widths).map(aligned).joined(separator: "  ") + "\n"
    }.joined()
  }
}

extension QueueReport {
  fileprivate var rows: [[String]] {
    let tables = [
      Self.share(ipv4Connections, of: ipv4Entries), Self.share(ipv6Connections, of: ipv6Entries),
      "\(unrecorded)", "\(evictions.reduce(0) { $0 &+ $1.connections })", shortestSilence,
    ]
    return interfaces.enumerated().map { place, interface in
      let packets = ["received", "forwarded", "answered", "dropped"].map {
        "\(interface.worker[$0] ?? 0)"
      }
      return ["\(queue)", interface.name] + packets + (place == 0 ? tables : [])
    }
  }

  private static func share(_ records: UInt64, of entries: Int) -> String {
    let percent = entries == 0 ? 0 : Int(records) * 100 / entries
    return "\(records)/\(entries) \(percent)%"
  }

  /// Of those evicted, the least class of age.
  private var shortestSilence: String {
    guard let least = evictions.firstIndex(where: { $0.connections > 0 }) else { return "-" }
    let from = least == 0 ? 3 : evictions[least - 1].belowSeconds
    return "\(from)-\(evictions[least].belowSeconds) s"
  }
}
