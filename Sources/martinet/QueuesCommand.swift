// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser

/// `martinet queues`: what the receive queues count.
struct QueuesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "queues",
    abstract: "Show packets, connection tables and evictions per receive queue.",
    discussion: """
      Evicted are half-open connections that yielded to new ones, after so many seconds without a \
      packet: the fewer, the faster the table is flooded. Unrecorded packets found no room even so \
      and went by hash. `--json` has every counter there is.
      """)

  @OptionGroup var control: ControlOption

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let queues = try control.ask { client throws(ControlError) in try client.queues() }
    if json { return try printJSON(queues) }
    print(queues.text, terminator: "")
  }
}
