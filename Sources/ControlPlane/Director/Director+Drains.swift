// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Logging

/// Drains: a real server's last connections are waited for, a while or until it is cancelled.
extension Director {
  /// Begins to drain a real server in one service, or in all that it serves; one that drains
  /// already gets the new deadline and end.
  ///
  /// - Parameters:
  ///   - deadline: from now; nil for none.
  ///   - end: what becomes of the connections that are left then; `keep` lets them go on.
  public func drain(
    _ address: IPAddress, in key: VirtualServiceKey? = nil, deadline: Duration? = nil,
    end: ServicePolicy.Removal = .keep
  ) throws(DirectorError) {
    let now = clock()
    for key in try services(of: address, in: key) {
      let realServer = services[key]!.realServers[address]!
      var drain = Drain(
        began: now, deadline: deadline.map { now + $0 }, end: end,
        initialConnections: connections(of: realServer))
      if let before = realServer.drain, !before.isGone {
        (drain.began, drain.initialConnections) = (before.began, before.initialConnections)
      }
      services[key]!.realServers[address]!.drain = drain
      changeRealServers(of: key)
      noteEdit(of: .drains)
      logger.info(
        "drain begins",
        metadata: [
          "service": "\(key)", "address": "\(address)",
          "connections": "\(drain.initialConnections)",
          "deadline": "\(deadline.map { "\($0)" } ?? "none")", "then": "\(end)",
        ])
    }
    advanceDrains()
  }

  /// Lets a drained real server take connections again, by its weight, in one service or in all
  /// in which it drains.
  public func cancelDrain(
    of address: IPAddress, in key: VirtualServiceKey? = nil
  ) throws(DirectorError) {
    let draining = try services(of: address, in: key).filter {
      services[$0]!.realServers[address]!.drain != nil
    }
    guard !draining.isEmpty else { throw .notDraining(address) }
    for key in draining {
      services[key]!.realServers[address]!.drain = nil
      changeRealServers(of: key)
      noteEdit(of: .drains)
      logger.info("drain cancelled", metadata: ["service": "\(key)", "address": "\(address)"])
    }
  }

  /// All of them, in the order of services and real servers.
  public func drains() -> [DrainStatus] {
    let now = clock()
    return services.values.sorted { $0.sequence < $1.sequence }.flatMap { service in
      service.realServers.values.sorted { $0.sequence > $1.sequence }.compactMap { realServer in
        realServer.drain.map { status(of: $0, realServer, service.configuration.key, now) }
      }
    }
  }

  /// Sees which drains are through, and ends those whose time is over.
  func advanceDrains() {
    let now = clock()
    var draining: Set<RealServerIndex> = []
    for (key, service) in services {
      for (address, realServer) in service.realServers {
        guard var drain = realServer.drain, !drain.isGone else { continue }
        let before = drain.phase
        let left = connections(of: realServer)
        if left > 0 { draining.insert(realServer.index) }
        let isOver = drain.deadline.map { now >= $0 } ?? false
        drain.phase =
          isOver && drain.end != .keep ? .ended : left == 0 ? .empty : .draining
        guard drain.phase != before else { continue }
        services[key]!.realServers[address]!.drain = drain
        if drain.isGone { changeRealServers(of: key) }
        logger.info(
          "drain is \(drain.phase)",
          metadata: [
            "service": "\(key)", "address": "\(address)", "connections": "\(left)",
            "then": "\(drain.end)",
          ])
      }
    }
    drainWatch.look(at: plane.views, for: draining, now: .now())
  }

  /// The services in which `address` is a real server: `key`, or all.
  private func services(
    of address: IPAddress, in key: VirtualServiceKey?
  ) throws(DirectorError) -> [VirtualServiceKey] {
    guard let key else {
      let keys = followers[address] ?? []
      guard !keys.isEmpty else { throw .unknownRealServer(address) }
      return keys.sorted { services[$0]!.sequence < services[$1]!.sequence }
    }
    guard let service = services[key] else { throw .noSuchService(key) }
    guard service.realServers[address] != nil else { throw .noSuchRealServer(address, key) }
    return [key]
  }

  private func status(
    of drain: Drain, _ realServer: RealServer, _ key: VirtualServiceKey, _ now: Duration
  ) -> DrainStatus {
    let left = connections(of: realServer)
    let elapsed = now - drain.began
    let ended = drain.initialConnections > left ? drain.initialConnections - left : 0
    return DrainStatus(
      service: key, realServer: realServer.configuration, phase: drain.phase,
      end: drain.end, elapsedSeconds: elapsed.wholeSeconds,
      secondsToDeadline: drain.deadline.map { max(.zero, $0 - now).wholeSeconds },
      initialConnections: drain.initialConnections, connections: left,
      oldestSeconds: left == 0
        ? nil : drainWatch.oldestMilliseconds[realServer.index].map { UInt64($0) / 1000 },
      secondsToEmpty: ended == 0
        ? nil : (elapsed * (Double(left) / Double(ended))).wholeSeconds)
  }

  private func connections(of realServer: RealServer) -> UInt64 {
    plane.views.reduce(0) { sum, view in
      let figures = view.statistics(of: realServer.index)
      return sum + UInt64(figures.active) + UInt64(figures.inactive)
    }
  }
}

extension Duration {
  fileprivate var wholeSeconds: UInt64 { UInt64(max(0, components.seconds)) }
}
