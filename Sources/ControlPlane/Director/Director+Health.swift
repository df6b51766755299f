// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Logging

extension Director {
  /// What is checked of a service's real servers; nil where there is no such service.
  public func health(of key: VirtualServiceKey) -> ServiceHealth? { services[key]?.health }

  /// Sets it; `settle()` makes the checks begin. Checks that stay the same go on as they stand.
  public func setHealth(
    _ health: ServiceHealth, of key: VirtualServiceKey
  ) throws(DirectorError) {
    guard let present = services[key]?.health else { throw .noSuchService(key) }
    guard health != present else { return }
    services[key]!.health = health
    changes += 1
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
      for realServer in service.realServers.values {
        instances[RealServerKey(service: key, address: realServer.configuration.address)] =
          service.health.instances(of: realServer.configuration, in: key)
      }
    }
    let wanted = Set(instances.values.joined())
    let down = checks?.make(wanted) ?? []
    isChecking = !wanted.isEmpty
    for (key, service) in checked {
      let candidates = service.realServers.values.map { realServer in
        let address = realServer.configuration.address
        let own = instances[RealServerKey(service: key, address: address)] ?? []
        return ServiceStanding.Candidate(
          address: address, weight: realServer.configuration.weight,
          isUp: own.allSatisfy { !down.contains($0) })
      }
      let before = service.standing
      guard services[key]!.standing.update(service.health, candidates) else { continue }
      services[key]!.revision = nextRevision()
      note(before, services[key]!.standing, key)
    }
  }

  private func note(
    _ before: ServiceStanding, _ after: ServiceStanding, _ key: VirtualServiceKey
  ) {
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
