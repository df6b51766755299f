// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension Director {
  /// All services in the order they were added.
  public func serviceStatuses() -> [ServiceStatus] {
    let views = plane.views
    let isPersistent = services.values.contains { $0.configuration.persistence != nil }
    let clients = isPersistent ? plane.templates.counts(now: .now()) : [:]
    return services.values.sorted { $0.sequence < $1.sequence }.map { service in
      ServiceStatus(
        configuration: service.configuration,
        realServers: service.realServers.values.sorted { $0.sequence > $1.sequence }.map {
          status(of: $0, service.standing, views, clients: clients[$0.index] ?? 0)
        },
        statistics: total(of: service, views) - service.tally.zero,
        rates: service.tally.estimator.rates)
    }
  }

  private func status(
    of realServer: RealServer, _ standing: ServiceStanding, _ views: [ForwarderView],
    clients: UInt64
  ) -> RealServerStatus {
    let figures = Self.figures(of: realServer.index, views)
    return RealServerStatus(
      configuration: realServer.configuration, activeConnections: UInt64(figures.active),
      inactiveConnections: UInt64(figures.inactive), persistentConnections: clients,
      neighbor: realServer.neighbor,
      standing: standing.realServers[realServer.configuration.address],
      statistics: Statistics(figures) - realServer.origin - realServer.tally.zero,
      rates: realServer.tally.estimator.rates)
  }

  /// `ipvsadm -Z`: counts anew from here, for one service with its real servers, or for all.
  public func zero(_ key: VirtualServiceKey? = nil) throws(DirectorError) {
    if let key, services[key] == nil { throw .noSuchService(key) }
    let views = plane.views
    for key in key.map({ [$0] }) ?? Array(services.keys) {
      services[key]!.tally.zero(at: total(of: services[key]!, views))
      for (address, realServer) in services[key]!.realServers {
        services[key]!.realServers[address]!.tally.zero(at: total(of: realServer, views))
      }
      for (index, realServer) in services[key]!.departed {
        services[key]!.departed[index]!.tally.zero(at: total(of: realServer, views))
      }
    }
  }

  /// Ends an interval of `RateEstimator.interval`.
  func estimateRates() {
    let views = plane.views
    for key in Array(services.keys) {
      let serviceTotal = total(of: services[key]!, views)
      services[key]!.tally.estimator.tick(serviceTotal)
      for address in Array(services[key]!.realServers.keys) {
        let realServerTotal = total(of: services[key]!.realServers[address]!, views)
        services[key]!.realServers[address]!.tally.estimator.tick(realServerTotal)
      }
    }
  }

  /// Adds to their services what real servers forwarded whose numbers are about to be used anew.
  func carry(_ freed: Set<RealServerIndex>) {
    let views = plane.views
    for key in Array(services.keys) {
      for (index, realServer) in services[key]!.departed where freed.contains(index) {
        services[key]!.carried = services[key]!.carried + total(of: realServer, views)
        services[key]!.departed[index] = nil
      }
    }
  }

  /// All that workers ever counted under a number.
  func workerStatistics(of index: RealServerIndex) -> Statistics {
    Statistics(Self.figures(of: index, plane.views))
  }

  private func total(of realServer: RealServer, _ views: [ForwarderView]) -> Statistics {
    Statistics(Self.figures(of: realServer.index, views)) - realServer.origin
  }

  private func total(of service: Service, _ views: [ForwarderView]) -> Statistics {
    let present = service.realServers.values.reduce(service.carried) { $0 + total(of: $1, views) }
    return service.departed.values.reduce(present) { $0 + total(of: $1, views) }
  }

  private static func figures(
    of index: RealServerIndex, _ views: [ForwarderView]
  ) -> RealServerStatistics {
    views.reduce(into: RealServerStatistics()) { $0 += $1.statistics(of: index) }
  }

  /// The receive queues' counters, in order.
  public func queues() -> [QueueStatistics] { plane.queueStatistics }

  /// What the eBPF program did with packets for VIPs.
  public func programCounters() -> ProgramCounters { plane.programCounters }

  // MARK: Connections

  /// At most about `limit` connections from `position` on; nil begins at the first.
  public func connections(
    from position: ConnectionPosition? = nil, limit: Int
  ) -> ConnectionPage {
    let views = plane.views
    var worker = Int(position?.worker ?? 0)
    var line = Int(position?.line ?? 0)
    var page = ConnectionPage(connections: [], next: nil)
    let names = Names(services, markGroups)
    while worker < views.count {
      let (found, next) = views[worker].connections(
        from: ConnectionCursor(line: line), limit: limit - page.connections.count, now: .now())
      page.connections += found.compactMap(names.status)
      (worker, line) = next.map { (worker, $0.line) } ?? (worker + 1, 0)
      if page.connections.count >= limit { break }
    }
    if worker == views.count, page.connections.count < limit {
      let (found, next) = plane.templates.list(
        from: line, limit: limit - page.connections.count, now: .now())
      page.connections += found.compactMap(names.status)
      (worker, line) = next.map { (worker, $0) } ?? (worker + 1, 0)
    }
    if worker <= views.count {
      page.next = ConnectionPosition(worker: UInt16(worker), line: UInt64(line))
    }
    return page
  }
}

/// What the workers' numbers stand for.
private struct Names {
  private var services: [ServiceIndex: ServiceConfiguration] = [:]
  private let markGroups: [FirewallMark: MarkGroup]
  private var realServers: [RealServerIndex: (VirtualServiceKey, RealServerConfiguration)] = [:]

  init(_ services: [VirtualServiceKey: Service], _ markGroups: [FirewallMark: MarkGroup]) {
    self.markGroups = markGroups
    for (key, service) in services {
      self.services[service.index] = service.configuration
      for realServer in service.realServers.values {
        realServers[realServer.index] = (key, realServer.configuration)
      }
      for realServer in service.departed.values {
        realServers[realServer.index] = (key, realServer.configuration)
      }
    }
  }

  /// nil where the service is gone.
  func status(of connection: ConnectionDescription) -> ConnectionStatus? {
    guard let service = services[connection.service],
      let (_, realServer) = realServers[connection.realServer],
      let virtual = virtual(of: connection, service.key)
    else { return nil }
    // `ip_vs_schedule`: a real server's port of its own is shown where there is no persistence.
    let showsOwnPort = service.persistence == nil && realServer.port != Port(0)
    return ConnectionStatus(
      service: service.key, virtual: virtual, clientAddress: connection.client,
      clientPort: connection.clientPort, realServerAddress: realServer.address,
      realServerPort: showsOwnPort ? realServer.port : virtual.port,
      state: .connection(connection.state),
      remainingSeconds: UInt32(max(0, connection.remainingMilliseconds)) / 1000)
  }

  /// What the client addressed; nil where the mark never stood for it.
  private func virtual(
    of connection: ConnectionDescription, _ service: VirtualServiceKey
  ) -> VirtualServiceKey? {
    guard let mark = service.mark else {
      guard service.port == Port(0) else { return service }
      return VirtualServiceKey(
        address: service.address, ipProtocol: service.ipProtocol, port: connection.destinationPort)
    }
    return markGroups[mark]?.target(of: connection.vip).map {
      VirtualServiceKey(
        address: $0.address, ipProtocol: $0.ipProtocol, port: connection.destinationPort)
    }
  }

  /// As the kernel has them: `conn_in_get` with a client port of 0. nil where the service is gone.
  func status(of template: TemplateDescription) -> ConnectionStatus? {
    guard let (service, realServer) = realServers[template.realServer] else { return nil }
    return ConnectionStatus(
      service: service, virtual: service.ofTemplates, clientAddress: template.client,
      clientPort: Port(0), realServerAddress: realServer.address, realServerPort: service.port,
      state: .template(isAssured: template.isAssured),
      remainingSeconds: UInt32(max(0, template.remainingMilliseconds)) / 1000)
  }
}

extension VirtualServiceKey {
  /// `ip_vs_sched_persist`: clients of a mark's service are kept under protocol 0, with the mark
  /// in the first four octets of the address.
  fileprivate var ofTemplates: VirtualServiceKey {
    guard let mark else { return self }
    let address: IPAddress =
      switch address {
      case .v4: .v4(IPv4Address(rawValue: mark.rawValue))
      case .v6: .v6(IPv6Address(high: UInt64(mark.rawValue) << 32, low: 0))
      }
    return VirtualServiceKey(address: address, ipProtocol: IPProtocol(rawValue: 0), port: Port(0))
  }
}

extension ConnectionPosition {
  fileprivate init(worker: UInt16, line: UInt64) {
    self.init(rawValue: UInt64(worker) << 48 | line)
  }
  fileprivate var worker: UInt16 { UInt16(rawValue >> 48) }
  fileprivate var line: UInt64 { rawValue & 0xffff_ffff_ffff }
}

extension Statistics {
  fileprivate init(_ figures: RealServerStatistics) {
    self.init(
      connections: figures.connections, inPackets: figures.packets, inBytes: figures.bytes)
  }
}
