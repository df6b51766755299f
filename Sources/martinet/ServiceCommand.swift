// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser
import ControlPlane
import DataPlane

/// `martinet service`: what ipvsadm has no words for.
struct ServiceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "service", abstract: "Show and change the policies of virtual services.",
    subcommands: [Show.self, Set.self])

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the policies of one service, or of all.")
    @OptionGroup var service: NamedService
    @OptionGroup var control: ControlOption

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
      let key = try service.key
      let reports = try control.ask { client throws(ControlError) in
        if let key { [try client.service(key)] } else { try client.table().services }
      }
      let policies = reports.map { ServicePolicyReport(service: $0.service, policy: $0.policy) }
      if json { return try printJSON(policies) }
      print(policies.map(\.text).joined(), terminator: "")
    }
  }

  struct Set: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Change policies of a service; those not named stay.")
    @OptionGroup var service: NamedService
    @OptionGroup var control: ControlOption

    @Option(
      help: ArgumentHelp(
        "Connections whose real server is removed.", valueName: "keep|purge|rehash"))
    var removal: ServicePolicy.Removal?

    @Option(
      help: ArgumentHelp(
        "TCP segments of no connection, without SYN.", valueName: "schedule|reset|drop"))
    var stray: ServicePolicy.Stray?

    @Option(
      help: ArgumentHelp("The packets' TTL or hop limit.", valueName: "preserve|decrement|one"))
    var ttl: ServicePolicy.TimeToLive?

    @Option(
      help: ArgumentHelp(
        "Clients of a persistent service whose real server has weight 0.",
        valueName: "keep|move"))
    var quiescentClients: ServicePolicy.QuiescentClients?

    private var change: ServicePolicyChange {
      ServicePolicyChange(
        removal: removal, stray: stray, timeToLive: ttl, quiescentClients: quiescentClients)
    }

    func validate() throws {
      if try service.key == nil {
        throw ValidationError("no service: give -t VIP:port, -u, --sctp-service or -f")
      }
      if change == ServicePolicyChange() {
        throw ValidationError(
          "nothing to set: give --removal, --stray, --ttl or --quiescent-clients")
      }
    }

    func run() throws {
      guard let key = try service.key else { return }
      try control.ask { client throws(ControlError) in
        let failures = try client.apply([.setPolicy(service: key, policy: change)])
        if let failure = failures.first { throw .refused(failure.problem) }
      }
    }
  }
}

extension ServicePolicy.Removal: ExpressibleByArgument {}
extension ServicePolicy.Stray: ExpressibleByArgument {}
extension ServicePolicy.TimeToLive: ExpressibleByArgument {}
extension ServicePolicy.QuiescentClients: ExpressibleByArgument {}
