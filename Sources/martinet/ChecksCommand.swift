// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser

/// `martinet checks`: what the health checks found.
struct ChecksCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "checks", abstract: "Print the health checks of real servers and their results.",
    discussion: "Checks are set in the configuration file, under a service's `health`.")
  @OptionGroup var control: ControlOption

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let checks = try control.ask { client throws(ControlError) in try client.checks() }
    if json { return try printJSON(checks) }
    print(CheckText.table(checks), terminator: "")
  }
}
