// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What checks make of one real server of a service.
public struct RealServerStanding: Hashable, Sendable {
  /// Whether all its checks are up.
  public var isUp: Bool
  /// Whether workers know it.
  public var isMember: Bool
  /// What it has of the operator's weight now.
  public var weight: UInt32
}

/// Which of a service's real servers take connections, and with what weight: pure, so that it can
/// be told any answers at any time.
struct ServiceStanding: Hashable {
  /// A real server, as the operator and its checks have it.
  struct Candidate {
    var address: IPAddress
    var weight: UInt32
    var isUp: Bool
  }

  private(set) var realServers: [IPAddress: RealServerStanding] = [:]

  var isEmpty: Bool { realServers.isEmpty }

  /// Returns whether anything changed for workers.
  mutating func update(_ health: ServiceHealth, _ candidates: [Candidate]) -> Bool {
    let before = self
    realServers = [:]
    for candidate in candidates where !health.isEmpty {
      realServers[candidate.address] = RealServerStanding(
        isUp: candidate.isUp, isMember: candidate.isUp || health.onFailure == .inhibit,
        weight: candidate.isUp ? candidate.weight : 0)
    }
    return self != before
  }
}
