// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation

extension Scale {
  /// What a worker's memory grows by per IPv4 connection where a quarter of the entries is taken.
  ///
  /// - Returns: octets.
  func measureMemory(_ report: Report) throws -> Double {
    let (few, many) = report.isSmoke ? (1 << 16, 1 << 20) : (1 << 20, 1 << 24)
    report.progress("memory: a worker for \(few) and for \(many) connections")
    let (small, large) = (try Self.resident(few), try Self.resident(many))
    let each = Double(large - small) / Double(many - few)
    report.add("memory", "for \(few) connections", "MiB", [Double(small) / 1_048_576])
    report.add("memory", "for \(many) connections", "MiB", [Double(large) / 1_048_576])
    report.add("memory", "each further connection", "octets", [each])
    return each
  }

  /// Octets that a worker with room for four times `connections` makes resident; all of it at once,
  /// before the first packet.
  private static func resident(_ connections: Int) throws -> Int {
    let before = try residentBytes()
    let forwarder = try Forwarder(
      ForwarderConfiguration(ipv4Entries: connections * 4), now: Tick(rawValue: 0))
    let after = try residentBytes()
    precondition(forwarder.view.ipv4Entries == connections * 4)
    return after - before
  }

  private static func residentBytes() throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    return status.split(separator: "\n").reduce(0) { sum, line in
      guard line.hasPrefix("VmRSS:") || line.hasPrefix("HugetlbPages:") else { return sum }
      return sum + (Int(line.split(whereSeparator: \.isWhitespace)[1]) ?? 0) * 1024
    }
  }
}
