// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What checks make of one real server of a service.
public struct RealServerStanding: Hashable, Sendable {
  /// Whether all its checks are up.
  public var isUp: Bool
  /// Whether workers know it.
  public var isMember: Bool
  /// What it has of the operator's weight now, at least 1 if anything.
  public var weight: UInt32
  /// The same as workers are told, in parts of `ServiceStanding.scale`.
  var share: UInt32
  /// Whether it only takes the place of others.
  public var isSorryServer = false
}

/// Which of a service's real servers take connections, and with what weight: pure, so that it can
/// be told any answers at any time.
///
/// The quorum is keepalived's (`update_quorum_state` of check/ipwrapper.c): it counts the weights
/// of those that are up, is lost below quorum - hysteresis or with the last one, and gained at
/// quorum + hysteresis.
struct ServiceStanding: Hashable {
  /// A real server, as the operator and its checks have it.
  struct Candidate {
    var address: IPAddress
    var weight: UInt32
    var isUp: Bool
  }

  /// Schedulers that divide by weight as such; the others' weights are numbers of slots or
  /// connections, or mean nothing, and are not multiplied.
  private static let proportional: Set<Scheduler> = [.wrr, .wlc, .sed, .nq, .twos, .maglev]
  /// While one starts slowly a weight is as many parts, or 1 could not be divided.
  private static let finestScale: UInt32 = 256

  private(set) var realServers: [IPAddress: RealServerStanding] = [:]
  /// nil before the first update.
  private(set) var hasQuorum: Bool?
  /// Parts that weights are told in.
  private(set) var scale: UInt32 = 1
  /// When those came up that have not got their whole weight.
  private var risen: [IPAddress: Duration] = [:]

  var isEmpty: Bool { hasQuorum == nil }

  /// Whether a later update without any news changes weights.
  var isRising: Bool { !risen.isEmpty }

  /// Returns whether anything changed for workers.
  mutating func update(
    _ health: ServiceHealth, _ candidates: [Candidate], _ scheduler: Scheduler, now: Duration
  ) -> Bool {
    let before = self
    guard !health.isEmpty else {
      self = ServiceStanding()
      return !before.isEmpty
    }
    noteRises(health, candidates, now: now)
    hasQuorum = quorum(health, candidates)
    let heaviest = max(1, candidates.map(\.weight).max() ?? 1)
    scale =
      isRising && Self.proportional.contains(scheduler)
      ? min(Self.finestScale, RealServerConfiguration.largestWeight / heaviest) : 1
    let isSorry = hasQuorum == false && health.sorryServer != nil
    realServers = [:]
    for candidate in candidates {
      let share = candidate.isUp && !isSorry ? share(of: candidate, health, now: now) : 0
      realServers[candidate.address] = RealServerStanding(
        isUp: candidate.isUp,
        isMember: health.onFailure == .inhibit || candidate.isUp && !isSorry,
        weight: (share + scale - 1) / scale, share: share)
    }
    if let sorryServer = health.sorryServer {
      realServers[sorryServer] = RealServerStanding(
        isUp: true, isMember: health.onFailure == .inhibit || isSorry, weight: isSorry ? 1 : 0,
        share: isSorry ? scale : 0, isSorryServer: true)
    }
    return realServers != before.realServers || hasQuorum != before.hasQuorum
      || scale != before.scale
  }

  private mutating func noteRises(
    _ health: ServiceHealth, _ candidates: [Candidate], now: Duration
  ) {
    let limit = Duration.seconds(Int(health.slowStartSeconds))
    risen = risen.filter { now - $0.value < limit }
    for candidate in candidates {
      if !candidate.isUp {
        risen[candidate.address] = nil
      } else if realServers[candidate.address]?.isUp == false, limit > .zero {
        risen[candidate.address] = now
      }
    }
    let present = Set(candidates.map(\.address))
    risen = risen.filter { present.contains($0.key) }
  }

  private func quorum(_ health: ServiceHealth, _ candidates: [Candidate]) -> Bool {
    let weight = candidates.reduce(UInt64(0)) { $0 + ($1.isUp ? UInt64($1.weight) : 0) }
    let (quorum, hysteresis) = (UInt64(health.quorum), UInt64(health.hysteresis))
    return hasQuorum == true
      ? weight > 0 && weight + hysteresis >= quorum : weight >= quorum + hysteresis
  }

  /// A second's part more with each second, and one from the first on.
  private func share(
    of candidate: Candidate, _ health: ServiceHealth, now: Duration
  ) -> UInt32 {
    let whole = UInt64(candidate.weight) * UInt64(scale)
    guard whole > 0, let since = risen[candidate.address] else { return UInt32(whole) }
    let seconds = UInt64((now - since).components.seconds)
    return UInt32(max(1, whole * (seconds + 1) / (UInt64(health.slowStartSeconds) + 1)))
  }
}
