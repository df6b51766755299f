// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Totals since the object was made or zeroed; a director in direct routing sees requests only.
public struct Statistics: Hashable, Sendable {
  public var connections: UInt64
  public var inPackets: UInt64
  /// Bytes of the IP packets, as LVS counts them (`skb->len` at LOCAL_IN).
  public var inBytes: UInt64

  public init(connections: UInt64 = 0, inPackets: UInt64 = 0, inBytes: UInt64 = 0) {
    self.connections = connections
    self.inPackets = inPackets
    self.inBytes = inBytes
  }
}

/// Smoothed rates as `ipvsadm -L --rate` shows them, per second.
public struct Rates: Hashable, Sendable {
  public var connections: UInt64
  public var inPackets: UInt64
  public var inBytes: UInt64

  public init(connections: UInt64 = 0, inPackets: UInt64 = 0, inBytes: UInt64 = 0) {
    self.connections = connections
    self.inPackets = inPackets
    self.inBytes = inBytes
  }
}

/// What is known of a real server's link-layer address.
public struct Neighbor: Hashable, Sendable {
  /// The last address that answered; live connections use it even while `isResolved` is false.
  public var macAddress: MACAddress?
  /// Whether it answers now: new connections need it.
  public var isResolved: Bool
  /// The interface that leads to it.
  public var egress: EgressIndex

  public init(macAddress: MACAddress?, isResolved: Bool, egress: EgressIndex = 0) {
    self.macAddress = macAddress
    self.isResolved = isResolved
    self.egress = egress
  }
}

/// What can happen to a real server on the LAN.
public enum NeighborChange: CaseIterable, Sendable {
  case answered
  case fellSilent
  /// It came back with another MAC address.
  case changedAddress
  /// It falls silent again and again.
  case flapped
  /// It has its former MAC address again, soon after it had another: two hosts own its address.
  case duplicate
}

public struct RealServerStatus: Hashable, Sendable {
  public var configuration: RealServerConfiguration
  /// Connections in `ConnectionState.isActive` states, all workers together.
  public var activeConnections: UInt64
  /// All other connections.
  public var inactiveConnections: UInt64
  /// Clients of a persistent service that it is remembered for.
  public var persistentConnections: UInt64
  public var neighbor: Neighbor
  /// nil where nothing is checked.
  public var standing: RealServerStanding?
  /// How far its drain is; nil where it does not drain.
  public var drain: Drain.Phase?
  public var statistics: Statistics
  public var rates: Rates

  /// What it is scheduled by.
  public var effectiveWeight: UInt32 {
    drain == nil ? standing?.weight ?? configuration.weight : 0
  }

  public init(
    configuration: RealServerConfiguration, activeConnections: UInt64 = 0,
    inactiveConnections: UInt64 = 0, persistentConnections: UInt64 = 0, neighbor: Neighbor,
    standing: RealServerStanding? = nil, drain: Drain.Phase? = nil,
    statistics: Statistics = Statistics(), rates: Rates = Rates()
  ) {
    self.standing = standing
    self.configuration = configuration
    self.activeConnections = activeConnections
    self.inactiveConnections = inactiveConnections
    self.persistentConnections = persistentConnections
    self.neighbor = neighbor
    self.drain = drain
    self.statistics = statistics
    self.rates = rates
  }
}

public struct ServiceStatus: Hashable, Sendable {
  public var configuration: ServiceConfiguration
  /// In LVS order: the one added last comes first.
  public var realServers: [RealServerStatus]
  /// The service's own totals: they outlive real servers that are removed.
  public var statistics: Statistics
  /// Whether enough real servers are up; nil where nothing is checked.
  public var hasQuorum: Bool?
  public var rates: Rates

  public init(
    configuration: ServiceConfiguration, realServers: [RealServerStatus],
    statistics: Statistics = Statistics(), hasQuorum: Bool? = nil, rates: Rates = Rates()
  ) {
    self.configuration = configuration
    self.realServers = realServers
    self.statistics = statistics
    self.hasQuorum = hasQuorum
    self.rates = rates
  }
}

/// One line of `ipvsadm -Lc`.
public struct ConnectionStatus: Hashable, Sendable {
  public enum State: Hashable, Sendable {
    case connection(ConnectionState)
    /// A client of a persistent service; assured where a connection of it was established.
    case template(isAssured: Bool)

    public static let all =
      ConnectionState.allCases.map(connection) + [false, true].map(template)

    /// The word in the state column.
    public var name: String {
      switch self {
      case .connection(let state): state.name
      case .template(let isAssured): isAssured ? "ASSURED" : "NONE"
      }
    }
  }

  public var service: VirtualServiceKey
  /// What the client addressed: one port where the service has many.
  public var virtual: VirtualServiceKey
  public var clientAddress: IPAddress
  public var clientPort: Port
  public var realServerAddress: IPAddress
  public var realServerPort: Port
  public var state: State
  /// Until the entry expires if no packet comes.
  public var remainingSeconds: UInt32
  /// Since the last packet, for a template since its last connection began: what is over of the
  /// present timeout of the state or of the service's persistence.
  public var idleSeconds: UInt32

  public init(
    service: VirtualServiceKey, virtual: VirtualServiceKey, clientAddress: IPAddress,
    clientPort: Port, realServerAddress: IPAddress, realServerPort: Port, state: State,
    remainingSeconds: UInt32, idleSeconds: UInt32
  ) {
    self.service = service
    self.virtual = virtual
    self.clientAddress = clientAddress
    self.clientPort = clientPort
    self.realServerAddress = realServerAddress
    self.realServerPort = realServerPort
    self.state = state
    self.remainingSeconds = remainingSeconds
    self.idleSeconds = idleSeconds
  }
}

/// A bounded part of the connection tables.
public struct ConnectionPage: Hashable, Sendable {
  public var connections: [ConnectionStatus]
  /// Where the next page starts; nil after the last. A connection that lives throughout is listed
  /// once, one that comes or goes meanwhile may be missed.
  public var next: ConnectionPosition?

  public init(connections: [ConnectionStatus], next: ConnectionPosition?) {
    self.connections = connections
    self.next = next
  }
}

/// A place in the workers' connection tables: opaque to clients, harmless if made up.
public struct ConnectionPosition: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}
