// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

/// The root command; each subcommand has a file of its own.
@main
struct Martinet: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martinet",
    abstract: "A direct-routing (LVS-DR) director on AF_XDP.",
    subcommands: [
      RunCommand.self, ConfigCommand.self, ReloadCommand.self, ConfirmCommand.self,
      SaveCommand.self, ServiceCommand.self, ChecksCommand.self, MarkCommand.self,
      QueuesCommand.self, ConnectionsCommand.self, StatusCommand.self, TopCommand.self,
      DrainCommand.self, VIPCommand.self,
      NotifyCommand.self, NeighborsCommand.self, IpvsadmCommand.self, RealServerCommand.self,
    ])

  static func main() async {
    if let code = IpvsadmCommand.runByName(CommandLine.arguments) { exit(withError: code) }
    await main(nil)
  }
}
