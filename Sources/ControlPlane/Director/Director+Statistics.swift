// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension Director {
  /// All services in the order they were added.
  public func serviceStatuses() -> [ServiceStatus] {
    statuses(of: services.values.sorted { $0.sequence < $1.sequence })
  }

  /// nil where there is no such service.
  public func serviceStatus(of key: VirtualServiceKey) -> ServiceStatus? {
    services[key].flatMap { statuses(of: [$0]).first }
  }

  private func statuses(of services: [Service]) -> [ServiceStatus] {
    let views = plane.views
    let isPersistent = services.contains { $0.configuration.persistence != nil }
    let clients = isPersistent ? plane.templates.counts(now: .now()) : [:]
    return services.map { service in
      ServiceStatus(
        configuration: service.configuration,
        realServers: service.realServers.values.sorted { $0.sequence > $1.sequence }.map {
          status(of: $0, service.standing, views, clients: clients[$0.index] ?? 0)
        },
        statistics: total(of: service, views) - service.tally.zero,
        hasQuorum: service.standing.hasQuorum, rates: service.tally.estimator.rates)
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
      drain: realServer.drain?.phase,
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
    for (place, queue) in plane.queueStatistics.enumerated() {
      if place == queueTallies.count { queueTallies.append(QueueTally()) }
      queueTallies[place].tick(queue)
    }
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

  /// Of the same.
  public func queueRates() -> [QueueRates] {
    plane.views.indices.map { $0 < queueTallies.count ? queueTallies[$0].rates : QueueRates() }
  }

  /// What the eBPF program did with packets for VIPs.
  public func programCounters() -> ProgramCounters { plane.programCounters }
}

extension Statistics {
  init(_ figures: RealServerStatistics) {
    self.init(
      connections: figures.connections, inPackets: figures.packets, inBytes: figures.bytes)
  }
}
