// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser

/// `martinet vip`: whose the VIPs are, where the director announces them.
struct VIPCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vip", abstract: "Show the VIPs that the director announces, or announce them.",
    subcommands: [List.self, Announce.self])

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the VIPs, and which are on the director's interface.")
    @OptionGroup var control: ControlOption

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
      let report = try control.ask { client throws(ControlError) in
        try client.virtualAddresses()
      }
      if json { return try printJSON(report) }
      print("\(report.role) on \(report.interface)")
      for address in report.addresses {
        print("\(address.address) \(address.isHeld ? "held" : "left")")
      }
    }
  }

  struct Announce: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Send gratuitous ARP and unsolicited neighbour advertisements for the VIPs.")
    @OptionGroup var control: ControlOption

    @Flag(help: "Print the VIPs as JSON.")
    var json = false

    func run() throws {
      let report = try control.ask { client throws(ControlError) in try client.announce() }
      if json { try printJSON(report) }
      guard report.addresses.contains(where: \.isHeld) else {
        throw Refusal.unavailable(
          "nothing is announced: this director is \(report.role) and holds no VIP"
        ).said()
      }
    }
  }
}

/// `martinet notify`: what keepalived's `notify` runs when its state changes.
struct NotifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "notify",
    abstract: "Take the VIPs as master, or leave them, as keepalived says.",
    discussion: """
      For keepalived.conf: notify "/usr/bin/martinet notify". keepalived appends what is expected \
      here: GROUP or INSTANCE, its name, the new state, the priority.
      """)

  /// States of keepalived's notify scripts (keepalived.conf(5)).
  enum State: String, ExpressibleByArgument, CaseIterable {
    case master = "MASTER"
    case backup = "BACKUP"
    case fault = "FAULT"
    case stop = "STOP"
    case deleted = "DELETED"
    /// Still master; a router of lower priority has spoken: the VIPs are announced again.
    case masterSawLower = "MASTER_RX_LOWER_PRI"

    var role: String { self == .master || self == .masterSawLower ? "master" : "backup" }
  }

  @OptionGroup var control: ControlOption
  @Argument(help: "GROUP or INSTANCE.") var kind: String
  @Argument(help: "The name in keepalived.conf.") var name: String
  @Argument(help: "The new state.") var state: State
  @Argument(help: "The priority.") var priority: String?

  func run() throws {
    _ = try control.ask { client throws(ControlError) in try client.become(state.role) }
  }
}
