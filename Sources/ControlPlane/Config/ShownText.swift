// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What may hold a password stands in the configuration file only. Elsewhere — in names, logs,
/// figures, the API's answers — a digest stands in its place, by which two can be told apart and
/// none can be found.
extension String {
  /// The text up to the first `separator`, and of what is behind it the digest.
  fileprivate func hidden(behind separator: Character) -> String {
    guard let place = firstIndex(of: separator) else { return self }
    return self[...place] + self[index(after: place)...].utf8.shownDigest
  }

  /// A program's path, and of its arguments the digest.
  var shownCommand: String { hidden(behind: " ") }
}

extension Sequence<UInt8> {
  /// `#` and four digits: FNV-1a of 32 bits, folded to 16 (draft-eastlake-fnv, §3).
  fileprivate var shownDigest: String {
    let hash = reduce(UInt32(0x811c_9dc5)) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
    return "#" + String(0x1_0000 | (hash >> 16 ^ hash) & 0xffff, radix: 16).dropFirst()
  }
}

extension HealthCheck.Kind {
  /// The same with digests of a command's arguments, of a path's query and of what is sent.
  var shown: Self {
    switch self {
    case .tcp, .dns, .ping: return self
    case .http(let question): return .http(question.shown)
    case .https(let question, let tls): return .https(question.shown, tls)
    case .udp(var question):
      if !question.payload.isEmpty { question.payload = Array(question.payload.shownDigest.utf8) }
      return .udp(question)
    case .command(let command): return .command(command.shownCommand)
    }
  }
}

extension HTTPQuestion {
  fileprivate var shown: Self {
    var shown = self
    shown.path = path.hidden(behind: "?")
    return shown
  }
}

extension [HealthCheck] {
  var shown: Self {
    map { check in
      var shown = check
      shown.kind = check.kind.shown
      return shown
    }
  }
}

extension SiteConfiguration.ServiceTable {
  var shown: Self {
    var shown = self
    shown.health.checks = health.checks.shown
    shown.health.ownChecks = health.ownChecks.mapValues(\.shown)
    return shown
  }
}

extension SiteConfiguration {
  /// The same for eyes that may not see what the file's may.
  public var shown: Self {
    var shown = self
    shown.notify = notify?.shownCommand
    shown.tables = tables.map(\.shown)
    return shown
  }
}
