// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser
import DataPlane
import Foundation

/// `martinet drain`: a real server is emptied without being removed.
struct DrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain", abstract: "Empty a real server, and see how far that is.",
    discussion: """
      A real server that drains takes no new connections, whatever its weight, until `drain \
      cancel`. `drain RS` begins; `drain list` shows all drains.
      """,
    subcommands: [Start.self, List.self, Cancel.self], defaultSubcommand: Start.self)

  /// What drains.
  struct Target: ParsableArguments {
    @Argument(
      help: "The real server's address.",
      transform: { text in
        guard !text.utf8.contains(0), let address = IPAddress(text) else {
          throw ValidationError("'\(text)' is no IP address: give a real server's")
        }
        return address
      })
    var realServer: IPAddress

    @Option(
      help: ArgumentHelp(
        "In this service only, as tcp:192.0.2.1:80 or mark:1:4 with the IP version.",
        valueName: "service"),
      transform: { text in
        guard let key = VirtualServiceKey(commandLine: text) else {
          throw ValidationError(
            "'\(text)' is no service: give tcp:192.0.2.1:80, udp:[2001:db8::1]:53 or the like")
        }
        return key
      })
    var service: VirtualServiceKey?
  }

  struct Start: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Begin (default), or change deadline and end of what has begun.")
    @OptionGroup var target: Target
    @OptionGroup var control: ControlOption

    @Option(help: "How long to wait, as 90s, 5m or 2h.", transform: Self.seconds)
    var deadline: UInt32?

    @Option(
      help: ArgumentHelp(
        "What becomes of connections that are left at the deadline: they go on; are forgotten; go "
          + "to other real servers.", valueName: "keep|purge|rehash"))
    var then: ServicePolicy.Removal?

    @Flag(help: "Stay, and tell each change, until nothing is left or the deadline has passed.")
    var wait = false

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
      if let then, then != .keep, deadline == nil {
        throw ValidationError("--then happens at the deadline: give --deadline too")
      }
    }

    func run() throws {
      var reports = try control.ask { client throws(ControlError) in
        try client.drain(
          DrainRequest(
            address: target.realServer, service: target.service, deadlineSeconds: deadline,
            then: then))
      }
      if json { try printJSON(reports) } else { print(DrainText.table(reports), terminator: "") }
      fflush(nil)
      while wait, reports.contains(where: \.isUnderWay) {
        Thread.sleep(forTimeInterval: 1)
        let meant = Set(reports.map(\.service))
        let latest = try control.ask { client throws(ControlError) in try client.drains() }
          .filter { $0.realServer.address == target.realServer && meant.contains($0.service) }
        let isNews =
          latest.map { [$0.connections] } != reports.map { [$0.connections] }
          || latest.map(\.phase) != reports.map(\.phase)
        reports = latest
        guard isNews else { continue }
        if json { try printJSON(latest) } else { print(DrainText.rows(latest), terminator: "") }
        fflush(nil)
      }
    }

    private static func seconds(_ text: String) throws -> UInt32 {
      let units: [Character: UInt32] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
      let unit = text.last.flatMap { units[$0] }
      let number = UInt32(unit == nil ? text[...] : text.dropLast())
      guard let number, number > 0,
        case let (seconds, overflow) = number.multipliedReportingOverflow(by: unit ?? 1), !overflow
      else {
        throw ValidationError("'\(text)' is no time: give a number with s, m, h or d, as 5m")
      }
      return seconds
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show all drains.")
    @OptionGroup var control: ControlOption

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
      let reports = try control.ask { client throws(ControlError) in try client.drains() }
      if json { return try printJSON(reports) }
      print(DrainText.table(reports), terminator: "")
    }
  }

  struct Cancel: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Let a real server take connections again, by its weight.")
    @OptionGroup var target: Target
    @OptionGroup var control: ControlOption

    func run() throws {
      try control.ask { client throws(ControlError) in
        try client.cancelDrain(of: target.realServer, in: target.service)
      }
    }
  }
}

extension DrainReport {
  /// Something is still waited for.
  fileprivate var isUnderWay: Bool {
    phase == .draining && (secondsToDeadline == nil || secondsToDeadline! > 0)
  }
}
