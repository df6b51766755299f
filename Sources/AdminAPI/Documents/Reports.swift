// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Totals since the object was made or zeroed, or smoothed rates per second. A director in direct
/// routing sees requests only: nothing goes out through it.
public struct Counters: Hashable, Sendable, Codable {
  public var connections: UInt64
  public var inPackets: UInt64
  /// Bytes of the IP packets.
  public var inBytes: UInt64

  public init(connections: UInt64 = 0, inPackets: UInt64 = 0, inBytes: UInt64 = 0) {
    self.connections = connections
    self.inPackets = inPackets
    self.inBytes = inBytes
  }
}

/// All virtual services.
public struct TableReport: Hashable, Sendable, Codable {
  /// Connections that there is room for, all workers together.
  public var connectionCapacity: Int
  /// In the order they were added.
  public var services: [ServiceReport]

  public init(connectionCapacity: Int, services: [ServiceReport]) {
    self.connectionCapacity = connectionCapacity
    self.services = services
  }
}

/// A virtual service with its real servers, as it is now.
public struct ServiceReport: Hashable, Sendable, Codable {
  public var service: VirtualServiceKey
  public var scheduler: Scheduler
  public var flags: SchedulerFlags
  public var persistence: Persistence?
  /// Whether every datagram is scheduled by itself (`ops` in ipvsadm's text).
  public var isOnePacket: Bool
  public var policy: ServicePolicy
  /// Whether enough real servers are up; nil where nothing is checked.
  public var hasQuorum: Bool?
  public var statistics: Counters
  public var rates: Counters
  /// In the scheduler's order: the one added last comes first, as in LVS.
  public var realServers: [RealServerReport]

  /// - Parameter policy: nil for the protocol's own.
  public init(
    service: VirtualServiceKey, scheduler: Scheduler, flags: SchedulerFlags = [],
    persistence: Persistence? = nil, isOnePacket: Bool = false, policy: ServicePolicy? = nil,
    hasQuorum: Bool? = nil, statistics: Counters = Counters(), rates: Counters = Counters(),
    realServers: [RealServerReport] = []
  ) {
    self.hasQuorum = hasQuorum
    self.service = service
    self.scheduler = scheduler
    self.flags = flags
    self.persistence = persistence
    self.isOnePacket = isOnePacket
    self.policy = policy ?? ServicePolicy(for: service.ipProtocol)
    self.statistics = statistics
    self.rates = rates
    self.realServers = realServers
  }
}

/// What a firewall mark stands for.
public struct MarkReport: Hashable, Sendable, Codable {
  public var mark: FirewallMark
  public var ports: [VirtualPorts]

  public init(mark: FirewallMark, ports: [VirtualPorts]) {
    self.mark = mark
    self.ports = ports
  }
}

/// A real server of a service, as it is now.
public struct RealServerReport: Hashable, Sendable, Codable {
  public var realServer: RealServerAddress
  public var weight: UInt32
  public var thresholds: ConnectionThresholds
  public var activeConnections: UInt64
  public var inactiveConnections: UInt64
  /// Clients of a persistent service that it is remembered for.
  public var persistentConnections: UInt64
  /// Whether the neighbour answers: without it a real server gets no new connections.
  public var isResolved: Bool
  /// The address that frames for it are sent to; nil before it first answered.
  public var macAddress: MACAddress?
  /// What its checks make of it; nil where nothing is checked.
  public var health: HealthReport?
  /// nil where it does not drain.
  public var drain: DrainReport.Phase?
  public var statistics: Counters
  public var rates: Counters

  public init(
    realServer: RealServerAddress, weight: UInt32,
    thresholds: ConnectionThresholds = ConnectionThresholds(), activeConnections: UInt64 = 0,
    inactiveConnections: UInt64 = 0, persistentConnections: UInt64 = 0, isResolved: Bool,
    macAddress: MACAddress?, health: HealthReport? = nil, drain: DrainReport.Phase? = nil,
    statistics: Counters = Counters(), rates: Counters = Counters()
  ) {
    self.health = health
    self.drain = drain
    self.realServer = realServer
    self.weight = weight
    self.thresholds = thresholds
    self.activeConnections = activeConnections
    self.inactiveConnections = inactiveConnections
    self.persistentConnections = persistentConnections
    self.isResolved = isResolved
    self.macAddress = macAddress
    self.statistics = statistics
    self.rates = rates
  }
}

/// What came of a list of commands: each is carried out whether or not those before it were
/// refused, as `ipvsadm -R` does with its lines.
public struct CommandsReport: Hashable, Sendable, Codable {
  public var failures: [Failure]

  public init(failures: [Failure]) { self.failures = failures }

  public struct Failure: Hashable, Sendable, Codable {
    /// Position of the refused command in the request, from 0.
    public var index: Int
    public var problem: Problem

    public init(index: Int, problem: Problem) {
      self.index = index
      self.problem = problem
    }
  }
}

/// Why a request was refused: a problem document of RFC 9457.
public struct Problem: Error, Hashable, Sendable, Codable {
  /// Says no more than `status` and `detail` do.
  public var type = "about:blank"
  /// The HTTP status code.
  public var status: Int
  /// The status in words.
  public var title: String
  /// One sentence: the cause and, where it is known, the mend.
  public var detail: String
  /// The end of `detail`.
  public var mend: String?
  /// The errno with which the kernel's IPVS refuses the same command.
  public var errorNumber: Int32?

  public init(
    status: Int, title: String, cause: String, mend: String?, errorNumber: Int32? = nil
  ) {
    self.status = status
    self.title = title
    detail = mend.map { "\(cause): \($0)" } ?? cause
    self.mend = mend
    self.errorNumber = errorNumber
  }
}
