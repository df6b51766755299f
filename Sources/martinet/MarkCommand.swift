// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser
import DataPlane

/// `martinet mark`: what `ipvsadm -f` means here, where no netfilter has marked a packet.
struct MarkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mark",
    abstract: "Say which VIPs and ports the service of a firewall mark takes.",
    discussion: """
      XDP sees packets before netfilter can mark them. A mark stands for what is added to it here \
      or in the configuration file; `ipvsadm -A -f MARK` makes the service.
      """,
    subcommands: [Add.self, Remove.self, List.self])

  struct Ports: ParsableArguments {
    @OptionGroup var control: ControlOption

    @Argument(
      help: "The mark, 1 to 4294967295.",
      transform: { text in
        guard let number = UInt32(text), number > 0 else {
          throw ValidationError("'\(text)' is no mark: give a number from 1 to 4294967295")
        }
        return FirewallMark(rawValue: number)
      })
    var mark: FirewallMark

    @Option(help: "VIP:PORTS, as 192.0.2.1:80, [2001:db8::1]:80-90, or :0 for all ports.")
    var tcp: [String] = []

    @Option(help: "The same for UDP.")
    var udp: [String] = []

    func validate() throws {
      guard !tcp.isEmpty || !udp.isEmpty else {
        throw ValidationError("no ports: give --tcp VIP:PORTS or --udp VIP:PORTS")
      }
      _ = try ports()
    }

    func ports() throws -> [VirtualPorts] {
      try tcp.map { try Self.ports($0, .tcp) } + udp.map { try Self.ports($0, .udp) }
    }

    private static func ports(_ text: String, _ ipProtocol: IPProtocol) throws -> VirtualPorts {
      let colon = text.lastIndex(of: ":") ?? text.startIndex
      var host = text[..<colon]
      let isInBrackets = host.hasPrefix("[") && host.hasSuffix("]")
      if isInBrackets { host = host.dropFirst().dropLast() }
      guard !host.utf8.contains(0), let address = IPAddress(host),
        isInBrackets == (address.version == 6),
        let range = ClosedRange<Port>(ports: text[colon...].dropFirst())
      else {
        throw ValidationError(
          "'\(text)' is no VIP with ports: give 192.0.2.1:80, [2001:db8::1]:80-90 or the like")
      }
      return VirtualPorts(address: address, ipProtocol: ipProtocol, ports: range)
    }

    /// Makes the changes; all that is refused is said.
    func apply(_ command: (VirtualPorts) -> Command) throws {
      let commands = try ports().map(command)
      let failures = try control.ask { client throws(ControlError) in try client.apply(commands) }
      guard failures.isEmpty else {
        throw Refusal.data(failures.map(\.problem.detail).joined(separator: "\n")).said()
      }
    }
  }

  struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Add ports to a mark.")
    @OptionGroup var arguments: Ports

    func run() throws {
      try arguments.apply { .addToMark(mark: arguments.mark, ports: $0) }
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take ports out of a mark, as they were added.")
    @OptionGroup var arguments: Ports

    func run() throws {
      try arguments.apply { .removeFromMark(mark: arguments.mark, ports: $0) }
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print what each mark stands for, as `add` takes it.")
    @OptionGroup var control: ControlOption

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
      let marks = try control.ask { client throws(ControlError) in try client.marks() }
      if json { return try printJSON(marks) }
      for report in marks {
        for ports in report.ports {
          let host = ports.address.version == 6 ? "[\(ports.address)]" : "\(ports.address)"
          print(
            "\(report.mark.rawValue) --\(ports.ipProtocol.serviceProtocol) "
              + "\(host):\(ports.ports.portText)")
        }
      }
    }
  }
}
