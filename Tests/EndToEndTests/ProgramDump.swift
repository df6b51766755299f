// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport

/// What ArgumentParser tells of the program: its commands and their options.
struct ProgramDump: Decodable {
  struct Command: Decodable {
    struct Argument: Decodable {
      struct Name: Decodable { var name: String }
      var kind: String
      var names: [Name]?
    }

    var commandName: String
    var subcommands: [Command]?
    var arguments: [Argument]?

    /// Those that do something, by their words behind the program's name.
    func leaves(_ words: [String] = []) -> [(name: String, Command)] {
      let commands = (subcommands ?? []).filter { $0.commandName != "help" }
      guard !commands.isEmpty else { return [(words.joined(separator: " "), self)] }
      return commands.flatMap { $0.leaves(words + [$0.commandName]) }
    }

    /// By their names, short and long, those of a default subcommand too.
    var options: Set<String> {
      Set((arguments ?? []).flatMap { ($0.names ?? []).map(\.name) })
        .union(subcommands?.flatMap(\.options) ?? [])
    }

    /// Whether words may follow that are neither options nor subcommands.
    var takesWords: Bool {
      (arguments ?? []).contains { $0.kind == "positional" }
    }
  }

  var command: Command

  static func command() throws -> Command {
    let (ending, output) = try Child.run([RunningDirector.executable, "--experimental-dump-help"])
    guard ending == .exit(0) else { throw Failure("\(ending): \(output)") }
    return try JSONDecoder().decode(ProgramDump.self, from: Data(output.utf8)).command
  }
}
