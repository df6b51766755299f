// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser
import Foundation

/// `martinet reload`: the file takes effect.
struct ReloadCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reload", abstract: "Have the running director do what its file says.",
    discussion: """
      All or nothing: connections of what is the same in both go on untouched. SIGHUP does the \
      same, without force.
      """)

  @OptionGroup var control: ControlOption

  @Flag(help: "Only show what would change, and how many live connections would end or move.")
  var plan = false

  @Flag(help: "Undo what was changed at run time and not saved.")
  var force = false

  @Option(help: "Take everything back after so many seconds unless `martinet confirm` comes.")
  var confirm: UInt32?

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let request = ReloadRequest(isPlan: plan, force: force, confirmSeconds: confirm)
    let report = try control.ask { client throws(ControlError) in try client.reload(request) }
    if json { return try printJSON(report) }
    report.changes.forEach { print($0.line) }
    for change in report.undone { print("undoes what was changed at run time: \(change.object)") }
    for field in report.needsRestart { print("needs a restart: \(field)") }
    if report.changes.isEmpty { print("nothing to change") }
    if report.endingConnections > 0 {
      print("live connections of real servers that go: \(report.endingConnections)")
    }
    if let confirm, !plan {
      print("taken back in \(confirm) s unless `martinet confirm` comes")
    }
  }
}

/// `martinet confirm`: what was reloaded on trial stays.
struct ConfirmCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "confirm", abstract: "Keep what `reload --confirm` put on trial.")

  @OptionGroup var control: ControlOption

  func run() throws {
    try control.ask { client throws(ControlError) in try client.confirm() }
    print("confirmed")
  }
}

/// `martinet save`: what was changed at run time gets into the file.
struct SaveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "save",
    abstract: "Write what the running director does to its configuration file.",
    discussion: "What was in the file, comments too, is kept beside it with `.old` at its end.")

  @OptionGroup var control: ControlOption

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let report = try control.ask { client throws(ControlError) in try client.save() }
    if json { return try printJSON(report) }
    report.changes.forEach { print($0.line) }
    print(report.changes.isEmpty ? "the file says so already" : "saved")
  }
}

/// Which director is meant.
struct ControlOption: ParsableArguments {
  @Option(help: "The director's socket (default: MARTINET_CONTROL, or its usual one).")
  var control: String?

  var client: ControlClient {
    ControlClient(socketPath: control ?? ControlClient.socketPathInEnvironment)
  }

  /// Says why where the director refuses or does not answer.
  ///
  /// - Parameter tellsTime: whether it says meanwhile how long that takes.
  func ask<Answer>(
    tellsTime: Bool = true, _ question: (ControlClient) throws(ControlError) -> Answer
  ) throws -> Answer {
    do throws(ControlError) {
      guard tellsTime else { return try question(client) }
      return try Waiting.during("the director is at work") { () throws(ControlError) in
        try question(client)
      }
    } catch {
      throw Refusal(error).said()
    }
  }
}

func printJSON(_ document: some Encodable) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  print(String(decoding: try encoder.encode(document), as: UTF8.self))
}

extension ChangeReport {
  /// For people.
  fileprivate var line: String {
    "\(action) \(object)" + (details.isEmpty ? "" : ": " + details.joined(separator: ", "))
  }
}
