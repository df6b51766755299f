// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Logging

/// The desired state, and the only one who changes what workers do.
///
/// Commands change the state at once, or throw and leave it as it was; `settle()` then returns when
/// the workers act on all that was commanded before it. A burst of commands needs one `settle()`.
public actor Director {
  let plane: any ForwardingPlane
  let neighbors: any NeighborSource
  /// nil where none are made: all real servers are as the operator has them.
  let checks: (any CheckSource)?
  let logger: Logger
  let clock: @Sendable () -> Duration

  var services: [VirtualServiceKey: Service] = [:]
  /// Kept when a mark has no service, and when it stands for nothing: connections go on by them.
  var markGroups: [FirewallMark: MarkGroup] = [:]
  var timeoutConfiguration = TimeoutConfiguration.lvs
  /// By `EgressIndex`, as the network last told.
  var egresses: [Egress]
  var downInterfaces: Set<EgressIndex> = []
  /// Why forwarding cannot go on.
  var lostInterface: String?
  /// The services that a followed address serves.
  var followers: [IPAddress: Set<VirtualServiceKey>] = [:]
  /// Of followed addresses.
  var neighborHistories: [IPAddress: NeighborHistory] = [:]

  /// New real servers that have not answered yet and were not waited for.
  var unanswered: Set<IPAddress> = []
  /// What they get to answer ARP or neighbour discovery in: a LAN needs a hundredth of it.
  var resolutionLimit = Duration.milliseconds(300)

  var serviceIndices = IndexPool<VirtualServiceKey>(limit: Int(UInt16.max))
  var realServerIndices = IndexPool<RealServerKey>(limit: Int(UInt16.max))
  var lastSequence: UInt64 = 0
  var lastRevision: UInt32 = 0

  /// By the places of `queues()`.
  var queueTallies: [QueueTally] = []

  /// How old the connections are that drains wait for.
  var drainWatch = DrainWatch()

  /// Whether there are checks.
  var isChecking = false
  /// Weighs slowly starting real servers anew in a second.
  var rise: Task<Void, Never>?

  /// What `revision(of:)` goes by.
  var edits = Edits()

  /// Changes made, and how many of them workers act on.
  var changes: UInt64 = 0
  var settledChanges: UInt64 = 0
  var generation: UInt64 = 0
  /// From the begin of the last compilation until all workers used what came of it.
  public internal(set) var snapshotApplySeconds = 0.0
  /// What happened to real servers' neighbours since the start.
  public internal(set) var neighborEvents: [NeighborChange: UInt64] = [:]
  var commit: Task<DirectorError?, Never>?
  /// Those of the present state, once somebody has listed connections; and the `changes` it had.
  var connectionNames: (changes: UInt64, names: ConnectionNames)?
  /// Ports whose packets come to the workers.
  var opened: Set<VirtualPorts> = []
  /// The VIPs of all services, whenever workers have begun to serve others; for one reader, who
  /// may miss all but the last.
  public nonisolated let virtualAddresses: AsyncStream<Set<IPAddress>>
  let virtualAddressChanges: AsyncStream<Set<IPAddress>>.Continuation

  /// - Parameter clock: a monotonic clock; quarantines are measured by it.
  public init(
    plane: any ForwardingPlane, neighbors: any NeighborSource,
    checks: (any CheckSource)? = nil, logger: Logger,
    clock: @escaping @Sendable () -> Duration = monotonicTime
  ) {
    self.plane = plane
    self.neighbors = neighbors
    self.checks = checks
    self.logger = logger
    self.clock = clock
    egresses = plane.egresses
    (virtualAddresses, virtualAddressChanges) = AsyncStream.makeStream(
      bufferingPolicy: .bufferingNewest(1))
  }

  // MARK: Services

  /// - Parameter level: of the line in the log.
  public func addService(
    _ configuration: ServiceConfiguration, _ level: Logger.Level = .info
  ) throws(DirectorError) {
    let key = configuration.key
    try configuration.validate()
    guard services[key] == nil else { throw .serviceExists(key) }
    guard let index = serviceIndices.take(key) else {
      throw .tooManyServices(limit: serviceIndices.limit)
    }
    services[key] = Service(
      configuration: configuration, sequence: nextSequence(),
      index: ServiceIndex(rawValue: index), revision: nextRevision())
    noteEdit(of: .service(key))
    logger.log(
      level: level, "service added",
      metadata: ["service": "\(key)", "scheduler": "\(configuration.scheduler.rawValue)"])
  }

  /// Changes all but the key; real servers and statistics stay.
  public func editService(_ configuration: ServiceConfiguration) throws(DirectorError) {
    let key = configuration.key
    try configuration.validateOnePacket()
    guard services[key] != nil else { throw .noSuchService(key) }
    try configuration.validate()
    // The same scheduler goes on where it stands, `ip_vs_edit_service`.
    if services[key]!.configuration.scheduler != configuration.scheduler {
      services[key]!.revision = nextRevision()
    }
    services[key]!.configuration = configuration
    noteEdit(of: .service(key))
    logger.info(
      "service edited",
      metadata: ["service": "\(key)", "scheduler": "\(configuration.scheduler.rawValue)"])
  }

  /// nil where there is no such service.
  public func policy(of key: VirtualServiceKey) -> ServicePolicy? {
    services[key]?.configuration.policy
  }

  /// Schedulers go on where they are.
  public func setPolicy(_ policy: ServicePolicy, of key: VirtualServiceKey) throws(DirectorError) {
    guard services[key] != nil else { throw .noSuchService(key) }
    services[key]!.configuration.policy = policy
    noteEdit(of: .service(key))
    logger.info("service policy set", metadata: ["service": "\(key)", "policy": "\(policy)"])
  }

  /// Removes a service with its real servers. If it is added again within two minutes, its
  /// connections go on.
  public func deleteService(_ key: VirtualServiceKey) throws(DirectorError) {
    guard let service = services.removeValue(forKey: key) else { throw .noSuchService(key) }
    for realServer in service.realServers.values { release(realServer, of: key) }
    serviceIndices.release(key, now: clock())
    noteEdit(of: .services)
    logger.info("service deleted", metadata: ["service": "\(key)"])
  }

  /// `ipvsadm -C`: removes all services.
  public func clear() {
    for (key, service) in services {
      for realServer in service.realServers.values { release(realServer, of: key) }
      serviceIndices.release(key, now: clock())
    }
    services.removeAll()
    noteEdit(of: .services)
    logger.info("all services deleted")
  }

  // MARK: Timeouts

  public var timeouts: TimeoutConfiguration { timeoutConfiguration }

  /// `ipvsadm --set`: a value of 0 keeps what is set.
  public func setTimeouts(_ timeouts: TimeoutConfiguration) throws(DirectorError) {
    for seconds in [timeouts.tcp, timeouts.tcpFin, timeouts.udp]
    where seconds > TimeoutConfiguration.largest {
      throw .timeoutOutOfRange(seconds)
    }
    if timeouts.tcp != 0 { timeoutConfiguration.tcp = timeouts.tcp }
    if timeouts.tcpFin != 0 { timeoutConfiguration.tcpFin = timeouts.tcpFin }
    if timeouts.udp != 0 { timeoutConfiguration.udp = timeouts.udp }
    noteEdit(of: .timeouts)
  }

  // MARK: Numbers

  /// Counts the tables that workers were given.
  public var snapshotGeneration: UInt64 { generation }

  func nextSequence() -> UInt64 {
    lastSequence += 1
    return lastSequence
  }

  /// Unique among all services, so that one which is deleted and added again has a new one.
  func nextRevision() -> UInt32 {
    lastRevision &+= 1
    return lastRevision
  }
}
