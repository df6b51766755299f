// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Drains for people.
public enum DrainText {
  private static let columns = [
    "REAL SERVER", "SERVICE", "STATE", "LEFT", "OF", "OLDEST", "SINCE", "EMPTY IN", "DEADLINE",
    "THEN",
  ]
  private static let widths = [15, 22, 8, 5, 5, 7, 7, 8, 8, 6]

  /// With a title; only that where nothing drains.
  public static func table(_ drains: [DrainReport]) -> String { line(columns) + rows(drains) }

  public static func rows(_ drains: [DrainReport]) -> String { drains.map(row).joined() }

  private static func row(_ drain: DrainReport) -> String {
    line([
      "\(drain.realServer.address)", TableText(names: .none).listedName(drain.service),
      drain.phase.rawValue,
      "\(drain.connections)", "\(drain.initialConnections)",
      drain.oldestSeconds.map { ">" + time($0) } ?? "-", time(drain.elapsedSeconds),
      drain.phase == .draining ? drain.secondsToEmpty.map(time) ?? "-" : "-",
      drain.secondsToDeadline.map(time) ?? "-", drain.then.rawValue,
    ])
  }

  private static func line(_ cells: [String]) -> String {
    zip(cells, widths).map { cell, width in
      cell + String(repeating: " ", count: max(0, width - cell.count))
    }.joined(separator: " ").trimmedAtEnd + "\n"
  }

  /// `42s`, `5m10s`, `3h5m`, `2d4h`.
  public static func time(_ seconds: UInt64) -> String {
    let units: [(String, UInt64)] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)]
    guard let first = units.firstIndex(where: { seconds >= $0.1 }) else { return "0s" }
    let (name, size) = units[first]
    guard first + 1 < units.count, case let rest = seconds % size / units[first + 1].1, rest > 0
    else { return "\(seconds / size)\(name)" }
    return "\(seconds / size)\(name)\(rest)\(units[first + 1].0)"
  }
}

extension String {
  fileprivate var trimmedAtEnd: String {
    String(self[..<(lastIndex { $0 != " " }.map(index(after:)) ?? startIndex)])
  }
}

extension VirtualServiceKey {
  /// What `--service` takes: `tcp:192.0.2.1:80`, `udp:[2001:db8::1]:53`, `mark:1:4`.
  public init?(commandLine text: String) {
    let words = text.split(separator: ":", maxSplits: 1).map(String.init)
    guard words.count == 2 else { return nil }
    if words[0] == "mark" {
      self.init(path: text.split(separator: ":").map(String.init))
    } else {
      guard let ipProtocol = IPProtocol(serviceProtocol: words[0]),
        let place = HostAndPort(words[1], ipProtocol: ipProtocol, names: .system),
        let port = place.port
      else { return nil }
      self.init(address: place.address, ipProtocol: ipProtocol, port: port)
    }
  }
}
