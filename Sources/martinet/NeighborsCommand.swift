// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser

/// `martinet neighbors`: who answers on the LAN, and who moved.
struct NeighborsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "neighbors",
    abstract: "Show the MAC addresses of real servers, and what became of them.",
    discussion: """
      A real server that is silent or unresolved gets no new connections. Flapping is one that \
      fell silent three times within ten minutes; duplicate one whose address two MAC addresses \
      had in turn.
      """)

  @OptionGroup var control: ControlOption

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let neighbors = try control.ask { client throws(ControlError) in try client.neighbors() }
    if json { return try printJSON(neighbors) }
    print(neighbors.text, terminator: "")
  }
}
