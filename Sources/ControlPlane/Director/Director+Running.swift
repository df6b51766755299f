// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Logging

extension Director {
  /// Follows the network and the clock until the task is cancelled; throws when the forwarding
  /// plane has failed.
  public func run() async throws(DirectorError) {
    async let following: Void = followNeighbors()
    async let checking: Void = followChecks()
    while !Task.isCancelled {
      try? await Task.sleep(for: RateEstimator.interval)
      if let failure = plane.failure ?? lostInterface { throw .system(failure) }
      await housekeep()
    }
    await following
    await checking
  }

  private func followNeighbors() async {
    for await event in neighbors.events { take(event) }
  }

  /// Every two seconds: rates, numbers whose rest is over, and what the plane refused before.
  func housekeep() async {
    estimateRates()
    advanceDrains()
    let now = clock()
    // Both in one snapshot: a service's number is never free before its real servers' are.
    let retired = [serviceIndices.retire(now: now), realServerIndices.retire(now: now)]
    if retired.contains(true) { changes += 1 }
    let swept = plane.sweptGeneration
    _ = serviceIndices.reclaim(sweptGeneration: swept)
    let freed = realServerIndices.reclaim(sweptGeneration: swept)
    if !freed.isEmpty { carry(Set(freed.map(RealServerIndex.init))) }
    if opened != served { changes += 1 }
    // A failure is logged where it happens and tried again by the next call.
    try? await publishChanges()
  }

  private func take(_ event: NeighborEvent) {
    switch event {
    case .neighbor(let address, let neighbor): take(neighbor, of: address)
    case .link(let egress, let macAddress, let isUp): take(macAddress, isUp, of: egress)
    case .linkGone(_, let name):
      lostInterface = "interface \(name) is gone; bring it back and start again"
    }
  }

  private func take(_ neighbor: Neighbor, of address: IPAddress) {
    if neighbor.isResolved { unanswered.remove(address) }
    var before: Neighbor?
    for key in followers[address] ?? [] {
      before = services[key]!.realServers[address]!.neighbor
      services[key]!.realServers[address]!.neighbor = neighbor
    }
    guard let before, before != neighbor else { return }
    note(before, neighbor, address)
    publishSoon()
  }

  private func take(_ macAddress: MACAddress, _ isUp: Bool, of egress: EgressIndex) {
    guard Int(egress) < egressMACAddresses.count else { return }
    let metadata: Logger.Metadata = ["egress": "\(egress)", "mac": "\(macAddress)"]
    if downInterfaces.contains(egress) == isUp {
      if isUp {
        downInterfaces.remove(egress)
        logger.notice("interface is up again", metadata: metadata)
      } else {
        downInterfaces.insert(egress)
        logger.warning(
          "interface is down: nothing is forwarded by it until it is up", metadata: metadata)
      }
    }
    guard egressMACAddresses[Int(egress)] != macAddress else { return }
    logger.notice("interface has another MAC address", metadata: metadata)
    egressMACAddresses[Int(egress)] = macAddress
    do {
      try plane.setMACAddress(macAddress, of: egress)
    } catch {
      logger.error("\(error)", metadata: metadata)
    }
    publishSoon()
  }

  /// Without waiting, so that a burst of events shares snapshots.
  func publishSoon() {
    changes += 1
    Task { try? await publishChanges() }
  }
}
