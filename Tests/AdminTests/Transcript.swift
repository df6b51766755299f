// SPDX-License-Identifier: Apache-2.0
import Testing

/// A recorded session of the real ipvsadm: see Fixtures/README.md.
struct Transcript {
  struct Step: CustomTestStringConvertible {
    var command: String
    var input: String
    var outcome: AdminDesk.Outcome
    var testDescription: String { command }

    /// The command's words behind the program's name, without their quotes.
    var arguments: [String] {
      command.split(separator: " ", omittingEmptySubsequences: false).dropFirst().map {
        $0 == "''" ? "" : String($0)
      }
    }
  }

  var steps: [Step] = []

  init(_ text: String) {
    var input = ""
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("$ ") {
        steps.append(Step(command: String(line.dropFirst(2)), input: input, outcome: .init()))
      } else if line.hasPrefix("<") {
        input = Self.unescaped(line.dropFirst())
      } else if line.hasPrefix("= ") {
        steps[steps.count - 1].outcome.exitCode = Int32(line.dropFirst(2)) ?? -1
      } else if line.hasPrefix("! ") {
        steps[steps.count - 1].outcome.complaint += line.dropFirst(2) + "\n"
      } else if !line.hasPrefix("# "), !line.isEmpty {
        steps[steps.count - 1].outcome.output += line + "\n"
      }
    }
  }

  /// As `printf %b` writes it.
  private static func unescaped(_ text: Substring) -> String {
    String(text).replacing("\\n", with: "\n").replacing("\\t", with: "\t")
      .replacing("\\r", with: "\r")
  }
}
