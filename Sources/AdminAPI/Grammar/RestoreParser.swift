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
    let texts = text.split(omittingEmptySubsequences: false) { $0.isNewline }
    for (index, line) in texts.enumerated() {
      let words = line.split { $0.isWhitespace }.map { String($0) }
      if words.isEmpty || words[0].hasPrefix("#") { continue }
      let number = index + 1
      let invocation: Invocation
      do {
        invocation = try parser.parse(words.filter { $0 != "ipvsadm" })
      } catch {
        throw UsageError("line \(number): \(error.message)", exitCode: error.exitCode)
      }
      guard case .change(let command) = invocation else {
        throw UsageError("line \(number): only commands that change the table can be restored")
      }
      lines.append(Line(number: number, command: command))
    }
    return lines
  }
}
