// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

/// What both rooms of this program are told.
struct Options: ParsableArguments {
  @Flag(help: "Small sizes, one round: shows that it works, measures no time.")
  var smoke = false
  @Option(help: "Write the rows to this file.") var json: String?
  @Option(help: "Rounds of each case; the subjects take turns within each.") var rounds = 9
  @Option(help: "The commit measured, for the rows.") var commit = "unknown"
  @Option(help: "The command typed, for the rows.") var command = "loop"

  var origin: Origin { Origin(commit: commit, command: command) }
  /// One at smoke size.
  var roundCount: Int { smoke ? 1 : rounds }

  func validate() throws {
    guard rounds > 0 else { throw ValidationError("--rounds must be 1 or more") }
  }
}
