// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// A machine of the test network: a namespace, its interfaces, the programs that run on it.
public final class Machine: Sendable {
  public let name: String
  public let namespace: NetworkNamespace

  public init(_ name: String) throws {
    self.name = name
    namespace = try NetworkNamespace()
    // Nobody here has a double: while a link-local address looked for one, for a second or two, a
    // router could ask for no neighbour. And what is sent again stays on its flow's queue, as with
    // a NIC's hash; a socket of Linux would choose another hash (tcp_write_timeout).
    try run("sysctl -qew net.ipv6.conf.default.accept_dad=0 net.core.txrehash=0")
  }

  /// Runs a command, words separated by spaces, and returns its output; throws unless it exits
  /// with 0.
  @discardableResult
  public func run(_ command: String, seconds: Double = 20) throws -> String {
    do {
      return try namespace.run(words(command), seconds: seconds)
    } catch let failure as Failure {
      throw Failure("\(name)# \(failure)")
    }
  }

  /// Runs commands, one after the other, by one shell; throws what the first that fails says.
  public func run(_ commands: [String]) throws {
    do {
      try namespace.run(["sh", "-ec", commands.joined(separator: "\n")])
    } catch let failure as Failure {
      throw Failure("\(name)# \(failure)")
    }
  }

  /// Runs a command to its end, whatever that is.
  public func finish(
    _ command: [String], environment: [String: String] = [:], seconds: Double = 20
  ) throws -> (ending: Child.Ending, output: String) {
    try Child.run(namespace.inside(command), environment: environment, seconds: seconds)
  }

  /// Starts a program that runs until the returned object goes.
  public func start(_ command: [String], environment: [String: String] = [:]) throws -> Child {
    try Child(namespace.inside(command), environment: environment)
  }

  /// A packet socket on one of the interfaces.
  public func tap(_ interface: String) throws -> FrameTap {
    try FrameTap(interface, in: namespace)
  }

  /// A cable: a veth pair from `interface` here to `farInterface` on `other`, both up. A host of
  /// whose frames AF_XDP is to make sense needs `offloads: false`: the checksums that a veth
  /// leaves to the receiver stay unfinished in the frame (af-xdp, veth_xmit).
  public func connect(
    _ interface: String, to farInterface: String, of other: Machine, queues: Int = 1,
    mac: MACAddress? = nil
  ) throws {
    let ends = queues == 1 ? "" : " numrxqueues \(queues) numtxqueues \(queues)"
    let address = mac.map { " address \($0)" } ?? ""
    let cable =
      "ip link add \(interface)\(address)\(ends) type veth peer name \(farInterface)\(ends) netns "
      + other.namespace.path
    try run([cable] + Self.setUp(interface))
    try other.run(Self.setUp(farInterface))
  }

  private static func setUp(_ interface: String) -> [String] {
    [
      "ip link set \(interface) up",
      "ethtool -K \(interface) tx off tso off gso off txvlan off",
    ]
  }

  /// `ip` with the same arguments.
  public func ip(_ arguments: String) throws { try run("ip \(arguments)") }
}

private func words(_ command: String) -> [String] {
  command.split(separator: " ").map(String.init)
}
