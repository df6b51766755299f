// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import DataPlane

extension Director {
  /// Carries out a command; `settle()` makes the workers act on it.
  func apply(_ command: Command) throws(DirectorError) {
    switch command {
    case .addService(
      let service, let scheduler, let flags, let persistence, let isOnePacket, let change):
      try addService(
        ServiceConfiguration(service, scheduler, flags, persistence, isOnePacket, change))
    case .editService(
      let service, let scheduler, let flags, let persistence, let isOnePacket, let change):
      try editService(
        ServiceConfiguration(
          service, scheduler, flags, persistence, isOnePacket, change, of: policy(of: service)))
    case .setPolicy(let service, let change):
      let policy = policy(of: service) ?? ServicePolicy(for: service.ipProtocol)
      try setPolicy(change.applied(to: policy), of: service)
    case .deleteService(let service):
      try deleteService(service)
    case .addRealServer(let service, let server, let weight, let thresholds):
      try addRealServer(RealServerConfiguration(server, weight, thresholds), to: service)
    case .editRealServer(let service, let server, let weight, let thresholds):
      try editRealServer(RealServerConfiguration(server, weight, thresholds), of: service)
    case .deleteRealServer(let service, let server):
      try deleteRealServer(server.address, port: server.port, from: service)
    case .clear:
      clear()
    case .zero(let service):
      try zero(service)
    case .addToMark(let mark, let ports):
      try addToMark(mark, ports)
    case .removeFromMark(let mark, let ports):
      try removeFromMark(mark, ports)
    case .setTimeouts(let timeouts):
      try setTimeouts(
        TimeoutConfiguration(tcp: timeouts.tcp, tcpFin: timeouts.tcpFin, udp: timeouts.udp))
    }
  }
}

extension ServiceConfiguration {
  /// What a command says of a service; nil is what ipvsadm takes where it is told nothing, or
  /// leaves `policy`, nil for that of a new service.
  init(
    _ key: VirtualServiceKey, _ scheduler: Scheduler, _ flags: SchedulerFlags?,
    _ persistence: Persistence?, _ isOnePacket: Bool?, _ change: ServicePolicyChange?,
    of policy: ServicePolicy? = nil
  ) {
    let policy = policy ?? ServicePolicy(for: key.ipProtocol)
    self.init(
      key: key, scheduler: scheduler, flags: flags ?? [], persistence: persistence,
      isOnePacket: isOnePacket ?? false, policy: change?.applied(to: policy) ?? policy)
  }
}

extension RealServerConfiguration {
  init(
    _ server: RealServerAddress, _ weight: UInt32, _ thresholds: ConnectionThresholds?
  ) {
    self.init(
      address: server.address, port: server.port, weight: weight,
      upperThreshold: thresholds?.upper ?? 0, lowerThreshold: thresholds?.lower ?? 0)
  }
}

extension Problem {
  init(_ error: DirectorError) {
    let status: Int =
      switch error {
      case .serviceExists, .realServerExists, .portsOverlap: 409
      case .noSuchService, .noSuchRealServer, .noSuchPorts, .unknownRealServer, .notDraining: 404
      case .tooManyServices, .tooManyRealServers, .tooManyVIPs: 507
      case .system: 500
      default: 422
      }
    self.init(.init(statusCode: status), error, errorNumber: error.errorNumber)
  }
}

extension Counters {
  fileprivate init(_ statistics: Statistics) {
    self.init(
      connections: statistics.connections, inPackets: statistics.inPackets,
      inBytes: statistics.inBytes)
  }

  fileprivate init(_ rates: Rates) {
    self.init(
      connections: rates.connections, inPackets: rates.inPackets, inBytes: rates.inBytes)
  }
}

extension ServiceReport {
  init(_ status: ServiceStatus) {
    self.init(
      service: status.configuration.key, scheduler: status.configuration.scheduler,
      flags: status.configuration.flags, persistence: status.configuration.persistence,
      isOnePacket: status.configuration.isOnePacket, policy: status.configuration.policy,
      hasQuorum: status.hasQuorum,
      statistics: Counters(status.statistics), rates: Counters(status.rates),
      realServers: status.realServers.map(RealServerReport.init))
  }
}

extension RealServerReport {
  fileprivate init(_ status: RealServerStatus) {
    self.init(
      realServer: RealServerAddress(
        address: status.configuration.address, port: status.configuration.port),
      weight: status.configuration.weight,
      thresholds: ConnectionThresholds(
        upper: status.configuration.upperThreshold, lower: status.configuration.lowerThreshold),
      activeConnections: status.activeConnections,
      inactiveConnections: status.inactiveConnections,
      persistentConnections: status.persistentConnections, isResolved: status.neighbor.isResolved,
      macAddress: status.neighbor.macAddress, health: status.standing.map(HealthReport.init),
      drain: status.drain.map(DrainReport.Phase.init),
      statistics: Counters(status.statistics),
      rates: Counters(status.rates))
  }
}

extension HealthReport {
  fileprivate init(_ standing: RealServerStanding) {
    self.init(
      isUp: standing.isUp, isMember: standing.isMember, effectiveWeight: standing.weight,
      isSorryServer: standing.isSorryServer)
  }
}

extension CheckReport {
  init(_ status: CheckStatus) {
    self.init(
      number: status.number, check: "\(status.instance)", realServer: status.instance.address,
      isUp: status.isUp, sinceSeconds: status.sinceSeconds, successes: status.successes,
      failures: status.failures, changes: status.changes, lastSeconds: status.lastSeconds,
      totalSeconds: status.totalSeconds, lastFailure: status.lastFailure)
  }
}

extension NeighborReport {
  init(_ status: NeighborStatus) {
    let neighbor = status.neighbor
    self.init(
      address: status.address,
      state: neighbor.isResolved
        ? .resolved : neighbor.macAddress == nil ? .unresolved : .silent,
      ageSeconds: status.ageSeconds, macAddress: neighbor.macAddress,
      previousMACAddress: status.previousMACAddress, changes: status.changes,
      silences: status.silences, isFlapping: status.isFlapping, isDuplicate: status.isDuplicate,
      services: status.services)
  }
}

extension Timeouts {
  init(_ configuration: TimeoutConfiguration) {
    self.init(tcp: configuration.tcp, tcpFin: configuration.tcpFin, udp: configuration.udp)
  }
}

extension ConnectionFilter {
  init(_ query: ConnectionQuery) {
    self.init(
      service: query.service, realServer: query.realServer, clients: query.clients,
      states: Set(ConnectionStatus.State.all.filter { query.states.contains($0.name) }),
      idleSeconds: query.idleAtLeast...query.idleAtMost)
  }
}

extension ConnectionPageReport {
  init(_ page: ConnectionPage) {
    self.init(
      connections: page.connections.map { connection in
        ConnectionReport(
          service: connection.service, virtual: connection.virtual,
          clientAddress: connection.clientAddress, clientPort: connection.clientPort,
          realServer: RealServerAddress(
            address: connection.realServerAddress, port: connection.realServerPort),
          state: connection.state.name, remainingSeconds: connection.remainingSeconds,
          idleSeconds: connection.idleSeconds)
      }, next: page.next?.rawValue)
  }
}

extension ProgramReport {
  init(_ counters: ProgramCounters) {
    self.init(
      services: counters.services, fragments: counters.fragments, icmpErrors: counters.icmpErrors,
      withoutSocket: counters.withoutSocket, otherHost: counters.otherHost,
      malformed: counters.malformed)
  }
}

extension Director {
  func queueReports() -> [QueueReport] {
    zip(queues(), queueRates()).map { QueueReport($0, $1) }
  }
}

extension QueueReport {
  init(_ statistics: QueueStatistics, _ rates: QueueRates = QueueRates()) {
    self.init(
      queue: statistics.queue, worker: Self.named(statistics.worker),
      socket: Socket(statistics.socket),
      interfaces: statistics.sockets.map {
        Interface(
          name: $0.interface, worker: Self.named($0.worker), socket: Socket($0.socket))
      },
      statistics: Counters(
        connections: statistics.forwarded.connections, inPackets: statistics.forwarded.packets,
        inBytes: statistics.forwarded.bytes),
      rates: Counters(rates.forwarded), drops: Self.named(statistics.drops),
      dropBytes: Self.named(statistics.dropBytes), sideTraffic: Self.named(statistics.sideTraffic),
      ipv4Connections: statistics.ipv4Connections, ipv6Connections: statistics.ipv6Connections,
      ipv4Entries: statistics.ipv4Entries, ipv6Entries: statistics.ipv6Entries,
      unrecorded: statistics.unrecorded,
      evictions: zip(EvictionAges.boundsSeconds, statistics.evictions.counts).map(Eviction.init))
  }

  private static func named<Key: Hashable>(_ counters: [Key: UInt64]) -> [String: UInt64] {
    Dictionary(uniqueKeysWithValues: counters.map { ("\($0)", $1) })
  }
}

extension QueueReport.Socket {
  fileprivate init(_ statistics: XDPStatistics) {
    self.init(
      rxDropped: statistics.rxDropped, rxInvalidDescriptors: statistics.rxInvalidDescriptors,
      txInvalidDescriptors: statistics.txInvalidDescriptors, rxRingFull: statistics.rxRingFull,
      fillRingEmpty: statistics.fillRingEmpty, txRingEmpty: statistics.txRingEmpty)
  }
}
