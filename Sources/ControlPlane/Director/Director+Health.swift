// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Logging

extension Director {
  /// Sets what is checked of a service's real servers; `settle()` makes the checks begin. Those
  /// that stay the same go on as they stand.
  public func setHealth(
    _ health: ServiceHealth, of key: VirtualServiceKey
  ) throws(DirectorError) {
    guard let present = services[key]?.health else { throw .noSuchService(key) }
    guard health != present else { return }
    try put(health, key, .info)
    for (address, realServer) in services[key]!.realServers
    where realServer.isSorryServer && address != health.sorryServer {
      remove(address, from: key)
    }
  }

  /// The same, and leaves a former sorry server where it is: what goes comes last.
  func put(
    _ health: ServiceHealth, _ key: VirtualServiceKey, _ level: Logger.Level
  ) throws(DirectorError) {
    guard let present = services[key]?.health else { throw .noSuchService(key) }
    guard health != present else { return }
    if let address = health.sorryServer {
      if services[key]!.realServers[address] == nil {
        try addRealServer(
          RealServerConfiguration(address: address, port: key.port), to: key, level)
      }
      services[key]!.realServers[address]!.isSorryServer = true
    }
    services[key]!.health = health
    noteEdit(of: .service(key))
  }

  /// All checks that are made, in the order they came.
  public func checkStatuses() -> [CheckStatus] { checks?.statuses() ?? [] }

  /// Follows the checks until their source ends.
  func followChecks() async {
    guard let checks else { return }
    for await _ in checks.changes { publishSoon() }
  }

  /// Has the present checks made and weighs real servers by those that are down; before each
  /// snapshot, which tells workers what came of it.
  func assess() {
    let checked = services.filter { !$0.value.health.isEmpty || !$0.value.standing.isEmpty }
    guard !checked.isEmpty || isChecking else { return }
    var instances: [RealServerKey: [CheckInstance]] = [:]
    for (key, service) in checked {
      for realServer in service.realServers.values where !realServer.isSorryServer {
        instances[RealServerKey(service: key, address: realServer.configuration.address)] =
          service.health.instances(of: realServer.configuration, in: key)
      }
    }
    let wanted = Set(instances.values.joined())
    let down = checks?.make(wanted, neighbors: neighbors(of: wanted)) ?? []
    isChecking = !wanted.isEmpty
    for (key, service) in checked {
      let candidates = service.realServers.values.filter { !$0.isSorryServer }.map { realServer in
        let address = realServer.configuration.address
        let own = instances[RealServerKey(service: key, address: address)] ?? []
        return ServiceStanding.Candidate(
          address: address, weight: realServer.configuration.weight,
          isUp: own.allSatisfy { !down.contains($0) })
      }
      let before = service.standing
      let scheduler = service.configuration.scheduler
      let isNews = services[key]!.standing.update(
        service.health, candidates, scheduler, now: clock())
      guard isNews else { continue }
      services[key]!.revision = nextRevision()
      note(before, services[key]!.standing, key)
    }
    if services.values.contains(where: \.standing.isRising) { riseSoon() }
  }

  private func riseSoon() {
    guard rise == nil else { return }
    rise = Task {
      try? await Task.sleep(for: .seconds(1))
      self.rise = nil
      self.publishSoon()
    }
  }

  private func neighbors(of wanted: Set<CheckInstance>) -> [IPAddress: Neighbor] {
    let addresses = Set(wanted.filter { $0.vip != nil }.map(\.address))
    return addresses.reduce(into: [:]) { known, address in
      let service = followers[address]?.first.flatMap { services[$0] }
      known[address] = service?.realServers[address]?.neighbor
    }
  }

  private func note(
    _ before: ServiceStanding, _ after: ServiceStanding, _ key: VirtualServiceKey
  ) {
    if before.hasQuorum ?? true != after.hasQuorum ?? true {
      let words = after.hasQuorum ?? true ? "quorum gained" : "quorum lost"
      logger.notice("\(words)", metadata: ["service": "\(key)"])
    }
    for (address, standing) in after.realServers {
      let wasUp = before.realServers[address]?.isUp ?? true
      guard wasUp != standing.isUp else { continue }
      let metadata: Logger.Metadata = ["service": "\(key)", "address": "\(address)"]
      if standing.isUp {
        logger.notice("real server is up", metadata: metadata)
      } else {
        logger.warning("real server is down and gets no new connections", metadata: metadata)
      }
    }
  }
}
