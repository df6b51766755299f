// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser
import Foundation

/// `martinet connections`: what `ipvsadm -Lnc` lists, and what it cannot leave out.
struct ConnectionsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "connections",
    abstract: "List or count the connections of a running director.",
    discussion: """
      Without options all of them, and the clients of persistent services, which have port 0 and \
      the state NONE or ASSURED. Options that say which leave out what they do not take.
      """)

  @OptionGroup var service: NamedService

  @Option(help: "Of this real server: an address.")
  var realServer: String?

  @Option(help: "Of these clients: an address, or a prefix such as 192.0.2.0/24.")
  var client: String?

  @Option(help: "In these states: words of the state column, with commas between.")
  var state: String?

  @Option(help: "Idle for so many seconds or more: since the last packet.")
  var idleAtLeast: String?

  @Option(help: "Idle for so many seconds or fewer.")
  var idleAtMost: String?

  @Option(help: "So many at most.")
  var limit: Int?

  @Option(help: "Go on where an earlier listing stopped.")
  var from: UInt64?

  @Flag(help: "Print how many there are.")
  var count = false

  @Flag(help: "A JSON document per line.")
  var json = false

  @OptionGroup var control: ControlOption

  func validate() throws {
    if let limit, limit < 1 {
      throw ValidationError("--limit \(limit) lists nothing: give 1 or more, or leave it out")
    }
    if count && (limit != nil || from != nil) {
      throw ValidationError("--count prints one number: leave out --limit and --from")
    }
    _ = try query()
  }

  func run() throws {
    let query = try query()
    let number = try control.ask(tellsTime: false) { client throws(ControlError) -> Int? in
      defer { Waiting.end() }
      let lister = ConnectionLister(client: client, query: query)
      if count { return try lister.count(progress: progress) }
      try list(lister)
      return nil
    }
    guard let number else { return }
    if json { return try printJSON(ConnectionCountReport(connections: number, next: nil)) }
    print(number)
  }

  private func list(_ lister: ConnectionLister) throws(ControlError) {
    let next = try lister.list(
      as: json ? .json : .table, from: from, limit: limit,
      write: { try? FileHandle.standardOutput.write(contentsOf: Data($0)) }, progress: progress)
    Waiting.end()
    if let next {
      let sentence = "there are more: go on with --from \(next)\n"
      FileHandle.standardError.write(Data(sentence.utf8))
    }
  }

  private func query() throws -> ConnectionQuery {
    do {
      var fields: [String: String] = [:]
      fields["service"] = try service.key?.path
      fields["real-server"] = realServer
      fields["client"] = client
      fields["state"] = state
      fields["idle-at-least"] = idleAtLeast
      fields["idle-at-most"] = idleAtMost
      return try ConnectionQuery(fields: fields)
    } catch let error as QueryError {
      throw ValidationError("\(error)")
    }
  }

  /// For one who waits at a terminal and sees no lines.
  private func progress(_ number: Int) {
    if count || isatty(STDOUT_FILENO) == 0 { Waiting.show("\(number) connections") }
  }
}
