// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser
import ControlPlane
import DataPlane
import Glibc

/// `martinet realserver`: the real servers' own side of direct routing.
struct RealServerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "realserver",
    abstract: "Prepare this host to be a real server: it owns the VIPs and never says so.",
    subcommands: [Up.self, Down.self, Check.self])

  struct VIPs: ParsableArguments {
    @Argument(
      help: "Virtual IP addresses that the director forwards to this host.",
      transform: {
        guard let address = IPAddress($0) else {
          throw ValidationError("'\($0)' is not an IP address: give a VIP such as 192.0.2.1")
        }
        return address
      })
    var vips: [IPAddress]

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
      guard !vips.isEmpty else { throw ValidationError("no VIP: give one or more addresses") }
    }

    func show(_ changes: [String]) throws {
      if json { return try printJSON(RealServerHostReport(changes: changes)) }
      print(changes.isEmpty ? "nothing to do" : changes.joined(separator: "\n"))
    }
  }

  struct Up: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Add the VIPs to lo and keep ARP silent about them.")
    @OptionGroup var arguments: VIPs

    func run() throws {
      try arguments.show(
        onThisHost { host throws(RealServerHost.Failure) in try host.up(arguments.vips) })
    }
  }

  struct Down: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Undo `up`; the sysctls go back with the last VIP.")
    @OptionGroup var arguments: VIPs

    func run() throws {
      try arguments.show(
        onThisHost { host throws(RealServerHost.Failure) in try host.down(arguments.vips) })
    }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say line by line what is right, what is wrong, and how to mend it.",
      discussion: "Exits with 1 if anything is wrong.")
    @OptionGroup var arguments: VIPs

    func run() throws {
      let findings = try onThisHost { host throws(RealServerHost.Failure) in
        try host.check(arguments.vips)
      }
      if arguments.json {
        try printJSON(
          RealServerCheckReport(
            findings: findings.map { .init(statement: $0.statement, mend: $0.mend) }))
      }
      for finding in findings where !arguments.json {
        print(finding.isRight ? "✓" : "✗", finding.statement, terminator: "")
        print(finding.mend.map { "; mend: \($0)" } ?? "")
      }
      if !findings.allSatisfy(\.isRight) { throw ExitCode.failure }
    }
  }
}

private func onThisHost<Value>(
  _ action: (RealServerHost) throws(RealServerHost.Failure) -> Value
) throws -> Value {
  guard geteuid() == 0 else {
    throw Refusal.permission("realserver changes the network of this host: run it as root").said()
  }
  do {
    return try action(RealServerHost())
  } catch {
    throw Refusal.system("\(error)").said()
  }
}
