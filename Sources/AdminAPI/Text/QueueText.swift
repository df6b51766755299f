// SPDX-License-Identifier: Apache-2.0

extension [QueueReport] {
  /// A line per receive queue: what went through it, how full its tables are, what had to yield.
  public var text: String {
    let titles = [
      "Queue", "Received", "Forwarded", "Answered", "Dropped", "IPv4 records", "IPv6 records",
      "Unrecorded", "Evicted", "after",
    ]
    let rows = [titles] + map(\.cells)
    let widths = titles.indices.map { column in
      rows.map { $0[column].utf8.count }.max() ?? 0
    }
    return rows.map { row in
      zip(row, widths).map(aligned).joined(separator: "  ") + "\n"
    }.joined()
  }
}

extension QueueReport {
  fileprivate var cells: [String] {
    let packets = ["received", "forwarded", "answered", "dropped"].map { worker[$0] ?? 0 }
    let evicted = evictions.reduce(0) { $0 &+ $1.connections }
    return ["\(queue)"] + packets.map(String.init) + [
      Self.share(ipv4Connections, of: ipv4Entries), Self.share(ipv6Connections, of: ipv6Entries),
      "\(unrecorded)", "\(evicted)", shortestSilence,
    ]
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
