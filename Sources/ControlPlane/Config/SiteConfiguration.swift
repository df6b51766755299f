// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// All that the configuration file says: what `martinet run` starts with.
public struct SiteConfiguration: Equatable, Sendable {
  /// Of the interfaces, at least one, by `EgressIndex`.
  public var ports: [PortConfiguration]
  /// Workers spin and never sleep.
  public var busyPoll = false
  /// The Unix socket that commands come in by; nil for the usual one.
  public var control: String?
  /// Where Prometheus finds the figures over TCP; nil for nowhere.
  public var metrics: TCPEndpoint?
  /// Where the API is to be had over TCP; nil for nowhere.
  public var api: APIEndpoint?
  /// Whether the VIPs are put on the first interface and made known to all LANs.
  public var announce = false
  /// Whose they are from the start, where they are announced.
  public var role = DirectorRole.master
  /// The command for changes of role, where they are announced; nil for none.
  public var notify: String?
  /// Room in each queue's tables.
  public var capacity = Capacity()
  public var timeouts = TimeoutConfiguration.lvs
  public var marks: [MarkTable] = []
  public var tables: [ServiceTable] = []

  public init(ports: [PortConfiguration]) {
    self.ports = ports
  }

  /// As `ForwarderConfiguration` has them.
  public struct Capacity: Equatable, Sendable {
    public var ipv4Connections = 1 << 20
    public var ipv6Connections = 1 << 18
    public var persistentClients = 1 << 18
  }

  /// What a firewall mark stands for.
  public struct MarkTable: Equatable, Sendable {
    public var mark: FirewallMark
    public var match: [VirtualPorts]

    public init(mark: FirewallMark, match: [VirtualPorts]) {
      self.mark = mark
      self.match = match
    }
  }

  /// A service and what is behind it, in the order of `ipvsadm -a`.
  public struct ServiceTable: Hashable, Sendable {
    public var service: ServiceConfiguration
    public var health: ServiceHealth
    public var realServers: [RealServerConfiguration]

    public init(
      service: ServiceConfiguration, health: ServiceHealth = ServiceHealth(),
      realServers: [RealServerConfiguration]
    ) {
      self.service = service
      self.health = health
      self.realServers = realServers
    }
  }

  /// Names of the interfaces, for people.
  public var interfaceNames: String { ports.map(\.interface).joined(separator: ", ") }

  /// For `WorkerGroup`.
  public var workers: WorkerConfiguration {
    WorkerConfiguration(
      ports: ports,
      forwarder: ForwarderConfiguration(
        ipv4Entries: capacity.ipv4Connections, ipv6Entries: capacity.ipv6Connections,
        templateEntries: capacity.persistentClients),
      busyPoll: busyPoll)
  }
}
