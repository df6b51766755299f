// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Logging

extension Director {
  /// Follows the network and the clock until the task is cancelled; throws when the forwarding
  /// plane has failed.
  public func run() async throws(DirectorError) {
    warnOfNarrowEgresses()
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
    case .link(let egress, let macAddress, let mtu, let isUp):
      guard Int(egress) < egresses.count else { return }
      note(isUp, of: egress)
      take(macAddress, of: egress)
      take(mtu: mtu, of: egress)
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

  private func note(_ isUp: Bool, of egress: EgressIndex) {
    guard downInterfaces.contains(egress) == isUp else { return }
    if isUp {
      downInterfaces.remove(egress)
      logger.notice("interface is up again", metadata: metadata(of: egress))
    } else {
      downInterfaces.insert(egress)
      logger.warning(
        "interface is down: nothing is forwarded by it until it is up",
        metadata: metadata(of: egress))
    }
  }

  private func take(_ macAddress: MACAddress, of egress: EgressIndex) {
    guard egresses[Int(egress)].macAddress != macAddress else { return }
    egresses[Int(egress)].macAddress = macAddress
    logger.notice("interface has another MAC address", metadata: metadata(of: egress))
    do {
      try plane.setMACAddress(macAddress, of: egress)
    } catch {
      logger.error("\(error)", metadata: metadata(of: egress))
    }
    publishSoon()
  }

  private func take(mtu: Int, of egress: EgressIndex) {
    guard egresses[Int(egress)].mtu != mtu else { return }
    egresses[Int(egress)].mtu = mtu
    logger.notice("interface has another MTU", metadata: metadata(of: egress))
    warnOfNarrowEgresses()
    publishSoon()
  }

  /// Where MTUs differ, packets come in that are too large for some interface.
  private func warnOfNarrowEgresses() {
    let widest = egresses.map(\.mtu).max() ?? 0
    let narrow = egresses.filter { $0.mtu < widest }
    guard !narrow.isEmpty else { return }
    logger.warning(
      """
      packets of up to \(widest) octets come in, and not all fit \
      \(narrow.map { "\($0.name) (MTU \($0.mtu))" }.joined(separator: ", ")): those for it are \
      dropped and their senders told, except of IPv4 without DF; give all interfaces one MTU
      """)
  }

  private func metadata(of egress: EgressIndex) -> Logger.Metadata {
    let egress = egresses[Int(egress)]
    return [
      "interface": "\(egress.name)", "mac": "\(egress.macAddress)", "mtu": "\(egress.mtu)",
    ]
  }

  /// Without waiting, so that a burst of events shares snapshots.
  func publishSoon() {
    changes += 1
    Task { try? await publishChanges() }
  }
}
