// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import ControlPlane

/// `martinet config`: the configuration file, without a director.
struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Check, show and import configuration files.",
    subcommands: [Check.self, Show.self, ImportCommand.self])

  struct File: ParsableArguments {
    @Argument(help: "The configuration file.")
    var path = "/etc/martinet/martinet.yaml"

    func read() throws -> SiteConfiguration {
      do {
        return try ConfigurationFile(path: path).read()
      } catch {
        throw Refusal(error).said()
      }
    }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Name every error by line and key, and how to mend it.",
      discussion: "Exits with 65 if there is any.")
    @OptionGroup var file: File

    func run() throws {
      let site = try file.read()
      let realServers = site.tables.reduce(0) { $0 + $1.realServers.count }
      print("\(file.path) is right: services \(site.tables.count), real servers \(realServers)")
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print what the file means, defaults included.")
    @OptionGroup var file: File

    func run() throws { print(try file.read().yaml, terminator: "") }
  }
}
