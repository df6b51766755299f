// SPDX-License-Identifier: Apache-2.0

/// One statement of keepalived.conf(5): words, and a block behind them or none.
struct KeepalivedStatement: Hashable {
  /// At least one.
  var words: [String]
  /// Counted from 1.
  var line: Int
  var block: [KeepalivedStatement] = []

  var keyword: String { words[0] }
  var arguments: ArraySlice<String> { words.dropFirst() }

  /// Statements whose arguments are addresses, ports and names.
  private static let plain: Set = [
    "virtual_server", "virtual_server_group", "real_server", "sorry_server", "fwmark", "lb_algo",
    "lvs_sched", "lb_kind", "lvs_method", "protocol", "persistence_timeout",
    "persistence_granularity", "vrrp_instance", "vrrp_sync_group", "include",
  ]

  /// Its first words, for people, without what may be a password: of other statements the keyword
  /// alone, and of a definition, `$NAME=VALUE`, the name.
  var shown: String {
    if Self.plain.contains(keyword) { return words.prefix(3).joined(separator: " ") }
    return String(keyword.prefix { $0 != "=" })
  }
}

/// Reads the syntax of keepalived.conf(5): words end at blanks, a statement at its line's end, `!`
/// and `#` begin comments, quotes hold a word together, braces nest.
struct KeepalivedReader {
  private enum Token {
    case word(String)
    case open, close, lineEnd
  }

  /// Deeper nesting is nobody's configuration.
  private static let depthLimit = 16

  private var rest: Substring.UnicodeScalarView
  private var line = 1
  private(set) var findings: [ConfigurationFinding] = []

  /// Braces that do not match are findings; what can be read is read all the same.
  static func read(
    _ text: String
  ) -> (statements: [KeepalivedStatement], findings: [ConfigurationFinding]) {
    var reader = KeepalivedReader(rest: text[...].unicodeScalars)
    var statements = reader.block(depth: 0)
    // A brace too many ends no block: what follows it is read too.
    while !reader.rest.isEmpty { statements += reader.block(depth: 0) }
    return (statements, reader.findings)
  }

  private init(rest: Substring.UnicodeScalarView) { self.rest = rest }

  private mutating func block(depth: Int) -> [KeepalivedStatement] {
    let opening = line
    var statements: [KeepalivedStatement] = []
    var words: [String] = []
    func finish(at line: Int) {
      if !words.isEmpty { statements.append(KeepalivedStatement(words: words, line: line)) }
      words = []
    }
    while let token = next() {
      switch token {
      case .word(let word): words.append(word)
      case .lineEnd: finish(at: line - 1)
      case .open:
        finish(at: line)
        let inner = depth < Self.depthLimit ? block(depth: depth + 1) : []
        if statements.isEmpty {
          note(line, "a block without a name before it", "give it one, or remove it")
        } else {
          statements[statements.count - 1].block = inner
        }
      case .close:
        finish(at: line)
        if depth == 0 { note(line, "a `}` too many", "remove it") }
        return statements
      }
    }
    finish(at: line)
    if depth > 0 { note(opening, "a `{` that no `}` follows", "add it") }
    return statements
  }

  private mutating func note(_ line: Int, _ cause: String, _ mend: String) {
    findings.append(ConfigurationFinding(line: line, path: "", cause: cause, mend: mend))
  }

  private mutating func next() -> Token? {
    while let first = rest.first, first == " " || first == "\t" || first == "\r" {
      rest.removeFirst()
    }
    guard let first = rest.first else { return nil }
    switch first {
    case "\n":
      rest.removeFirst()
      line += 1
      return .lineEnd
    case "!", "#":
      rest = rest.drop { $0 != "\n" }
      return next()
    case "{":
      rest.removeFirst()
      return .open
    case "}":
      rest.removeFirst()
      return .close
    case "\"":
      let word = rest.dropFirst().prefix { $0 != "\"" && $0 != "\n" }
      rest = rest[word.endIndex...]
      if rest.first == "\"" { rest.removeFirst() }
      return .word(String(word))
    default:
      let word = rest.prefix { !" \t\r\n{}".unicodeScalars.contains($0) }
      rest = rest[word.endIndex...]
      return .word(String(word))
    }
  }
}
