// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension Director {
  /// How long workers may take to adopt a snapshot; an idle one looks many times a second.
  private static let adoptionLimit = Duration.seconds(2)

  /// Returns when the workers act on all commands given before the call; throws if the forwarding
  /// plane refused a part of them, which is tried again every two seconds.
  ///
  /// Gives new real servers a moment to answer, so that the first connection after the command
  /// finds them; one that is silent then is left to `run()`.
  public func settle() async throws(DirectorError) {
    let start = monotonicTime()
    while !unanswered.isEmpty, monotonicTime() - start < resolutionLimit {
      try? await Task.sleep(for: .milliseconds(2))
    }
    unanswered.removeAll()
    try await publishChanges()
  }

  /// Callers that come while one snapshot is on its way share the next.
  func publishChanges() async throws(DirectorError) {
    let target = changes
    while settledChanges < target {
      let task = commit ?? Task { await publish() }
      commit = task
      let failure = await task.value
      if let failure, settledChanges >= target { throw failure }
    }
  }

  /// A service appears to the workers before its packets do, and disappears after.
  private func publish() async -> DirectorError? {
    defer { commit = nil }
    let included = changes
    var failure = close(opened.subtracting(served))
    let ports = served
    let start = monotonicTime()
    assess()
    do {
      let snapshot = try Snapshot(specification(), generation: generation + 1)
      generation += 1
      serviceIndices.publish(generation: generation)
      realServerIndices.publish(generation: generation)
      plane.publish(snapshot)
    } catch {
      logger.critical("cannot compile the snapshot", metadata: ["error": "\(error)"])
      settledChanges = included
      return .system("cannot compile the tables for the workers: \(error)")
    }
    failure = await awaitAdoption(of: generation) ?? failure
    snapshotApplySeconds = (monotonicTime() - start) / .seconds(1)
    // Deleted meanwhile: the next snapshot sees to it.
    failure = open(ports.intersection(served).subtracting(opened)) ?? failure
    virtualAddressChanges.yield(Set(opened.map(\.address)))
    settledChanges = included
    return failure
  }

  /// The ports of all services.
  var served: Set<VirtualPorts> { Set(services.keys.flatMap(ports)) }

  private func close(_ closing: Set<VirtualPorts>) -> DirectorError? {
    var failure: DirectorError?
    for ports in closing {
      do {
        try plane.close(ports)
        opened.remove(ports)
      } catch {
        failure = refused(error, ports)
      }
    }
    return failure
  }

  private func open(_ opening: Set<VirtualPorts>) -> DirectorError? {
    var failure: DirectorError?
    for ports in opening {
      do {
        try plane.open(ports)
        opened.insert(ports)
      } catch {
        failure = refused(error, ports)
      }
    }
    return failure
  }

  private func refused(_ error: any Error, _ ports: VirtualPorts) -> DirectorError {
    logger.error("\(error)", metadata: ["ports": "\(ports)"])
    return .system("\(error)")
  }

  private func awaitAdoption(of generation: UInt64) async -> DirectorError? {
    let start = monotonicTime()
    while plane.adoptedGeneration < generation {
      guard monotonicTime() - start < Self.adoptionLimit else {
        logger.error(
          "workers do not take the new tables", metadata: ["generation": "\(generation)"])
        return .system("the workers did not take the new tables within 2 s: see the daemon's log")
      }
      try? await Task.sleep(for: .milliseconds(1))
    }
    return nil
  }

  private func specification() -> SnapshotSpecification {
    var retirements: [RealServerIndex: SnapshotSpecification.Retirement] = [:]
    for index in realServerIndices.removedIndices {
      retirements[RealServerIndex(rawValue: index)] = .removed
    }
    for index in realServerIndices.retiredIndices {
      retirements[RealServerIndex(rawValue: index)] = .retired
    }
    for service in services.values {
      for (address, realServer) in service.realServers {
        if let drain = realServer.drain, drain.isGone {
          retirements[realServer.index] = drain.end == .purge ? .purged : .rehashed
        } else if service.standing.realServers[address]?.isMember == false {
          retirements[realServer.index] = .removed
        }
      }
    }
    return SnapshotSpecification(
      services: services.values.map(specification), retirements: retirements,
      egressMACAddresses: egresses.map(\.macAddress), egressMTUs: egresses.map(\.mtu),
      timeouts: connectionTimeouts)
  }

  var connectionTimeouts: ConnectionTimeouts {
    var timeouts = ConnectionTimeouts.lvs
    timeouts[.established] = timeoutConfiguration.tcp
    timeouts[.finWait] = timeoutConfiguration.tcpFin
    timeouts[.udp] = timeoutConfiguration.udp
    return timeouts
  }

  private func specification(of service: Service) -> SnapshotSpecification.Service {
    SnapshotSpecification.Service(
      index: service.index, key: service.configuration.key,
      marked: service.configuration.key.mark.flatMap { markGroups[$0] }?
        .marked(for: service.configuration.key) ?? [],
      scheduler: service.configuration.scheduler, flags: service.configuration.flags,
      persistence: service.configuration.persistence,
      isOnePacket: service.configuration.isOnePacket, policy: service.configuration.policy,
      revision: service.revision,
      realServers: service.realServers.values.sorted { $0.sequence > $1.sequence }
        .compactMap { specification(of: $0, service.standing) })
  }

  /// nil where its checks or the end of its drain keep it from the workers.
  private func specification(
    of realServer: RealServer, _ standing: ServiceStanding
  ) -> SnapshotSpecification.RealServer? {
    let configuration = realServer.configuration
    let (scale, standing) = (standing.scale, standing.realServers[configuration.address])
    guard standing?.isMember ?? true, !(realServer.drain?.isGone ?? false) else { return nil }
    let weight = realServer.drain == nil ? standing?.share ?? configuration.weight : 0
    let lastWeight = realServer.lastWeight.multipliedReportingOverflow(by: scale)
    return SnapshotSpecification.RealServer(
      index: realServer.index, weight: weight,
      lastWeight: weight > 0 ? weight : lastWeight.overflow ? .max : lastWeight.partialValue,
      address: configuration.address,
      upperThreshold: configuration.upperThreshold, lowerThreshold: configuration.lowerThreshold,
      macAddress: realServer.neighbor.macAddress, isResolved: realServer.neighbor.isResolved,
      egress: realServer.neighbor.egress)
  }
}
