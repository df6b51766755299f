// SPDX-License-Identifier: Apache-2.0

/// Reads what `ipvsadm -S` writes: command lines, one per line, without the program's name or with
/// it. Empty lines and lines that begin with `#` say nothing.
public struct RestoreParser: Sendable {
  public struct Line: Hashable, Sendable {
    /// From 1.
    public var number: Int
    public var command: Command
  }

  private let parser: IpvsadmParser

  public init(parser: IpvsadmParser) { self.parser = parser }

  /// All lines' commands. The first line that is none refuses the whole with its number, so that
  /// nothing has changed by then.
  public func parse(_ text: String) throws(UsageError) -> [Line] {
    var lines: [Line] = []
    for (number, result) in each(text) {
      do {
        lines.append(Line(number: number, command: try result.get()))
      } catch {
        throw UsageError("line \(number): \(error.message)", exitCode: error.exitCode)
      }
    }
    return lines
  }

  /// Each line that says something with its number, and its command or why it has none.
  public func each(_ text: String) -> [(number: Int, command: Result<Command, UsageError>)] {
    let texts = text.split(omittingEmptySubsequences: false) { $0.isNewline }
    return zip(1..., texts).compactMap { number, line in
      let words = line.unicodeScalars.split { $0.properties.isWhitespace }.map { String($0) }
      if words.isEmpty || words[0].hasPrefix("#") { return nil }
      return (number, command(words.filter { $0 != "ipvsadm" }))
    }
  }

  private func command(_ words: [String]) -> Result<Command, UsageError> {
    Result { () throws(UsageError) in
      guard case .change(let command) = try parser.parse(words) else {
        throw UsageError("only commands that change the table can be restored")
      }
      return command
    }
  }
}
