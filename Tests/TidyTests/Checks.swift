// SPDX-License-Identifier: Apache-2.0

/// One broken habit: where, and what to do about it.
struct Finding: Equatable, CustomStringConvertible {
  let path: String
  /// Counted from 1.
  let line: Int
  let advice: String
  var description: String { "\(path):\(line): \(advice)" }
}

/// A habit that can be checked file by file.
typealias Check = @Sendable (SourceFile) -> [Finding]

/// A finding for each line of code in which `pattern` is found.
private func findings(
  in file: SourceFile, lines: [String], matching pattern: Regex<some Any>, advice: String
) -> [Finding] {
  zip(1..., lines).compactMap { number, line in
    line.contains(pattern) ? Finding(path: file.path, line: number, advice: advice) : nil
  }
}

enum Checks {
  static func licence(_ file: SourceFile) -> [Finding] {
    let identifier = "SPDX-License-" + "Identifier: "
    let licence = file.path.hasPrefix("bpf/") ? "GPL-2.0-only OR BSD-2-Clause" : "Apache-2.0"
    let stated = file.lines.prefix(2).contains { $0.contains(identifier + licence) }
    return stated
      ? [] : [Finding(path: file.path, line: 1, advice: "begin with \(identifier)\(licence)")]
  }

  static func lineLength(_ file: SourceFile) -> [Finding] {
    zip(1..., file.lines).compactMap { number, line in
      line.count > 100
        ? Finding(path: file.path, line: number, advice: "\(line.count) columns; 100 is the limit")
        : nil
    }
  }

  static func unfinishedWork(_ file: SourceFile) -> [Finding] {
    findings(
      in: file, lines: file.lines, matching: /\b(TO[D]O|FI[X]ME|X[X]X|HA[C]K)\b/,
      advice: "finish it or write an issue")
  }

  /// A comment that ends as Swift or C code does, or starts as a declaration.
  static func commentedOutCode(_ file: SourceFile) -> [Finding] {
    guard file.path.hasSuffix(".swift") || file.path.hasSuffix(".c") else { return [] }
    return findings(
      in: file, lines: file.lines,
      matching: /^\s*\/\/ (let |var |func |return$|if .*\{$|guard .*\{$|\}$|[a-z_]+\(.*\);$)/,
      advice: "commented-out code: delete it, git remembers")
  }

  static func manifest(_ file: SourceFile) -> [Finding] {
    guard file.path == "Package.swift" else { return [] }
    return findings(
      in: file, lines: file.lines, matching: /unsafeFlags|-Ounchecked|-march/,
      advice: "plain -O only: the code parses hostile packets, and others may depend on it")
  }

  static func printing(_ file: SourceFile) -> [Finding] {
    guard file.path.hasPrefix("Sources/DataPlane/") else { return [] }
    return findings(
      in: file, lines: file.code, matching: /\b(debugPrint|print|dump)\(/,
      advice: "the data plane counts, it does not print")
  }

  /// Ring indices run free and wrap: only `&+`, `&-`, `&` and `==` may touch them.
  static func ringArithmetic(_ file: SourceFile) -> [Finding] {
    guard file.path.hasPrefix("Sources/DataPlane/Rings/") else { return [] }
    return findings(
      in: file, lines: file.code,
      matching: #/(?i)(producer|consumer|head|tail|index)\w*\)* ([-+]=?|<|>|<=|>=)\s/#,
      advice: "a ring index wraps after 2^32 entries: use &+, &-, & and == alone")
  }

  static let perFile: [Check] = [
    licence, lineLength, unfinishedWork, commentedOutCode, manifest, printing, ringArithmetic,
    imports,
  ]
}
