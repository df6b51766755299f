// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Logging

/// Real servers' neighbour entries.
extension Director {
  /// By address.
  public func neighborStatuses() -> [NeighborStatus] {
    let now = clock()
    return followers.sorted { $0.key < $1.key }.compactMap { address, keys in
      let keys = keys.sorted { services[$0]!.sequence < services[$1]!.sequence }
      guard let key = keys.first, let history = neighborHistories[address] else { return nil }
      return NeighborStatus(
        address: address, neighbor: services[key]!.realServers[address]!.neighbor, services: keys,
        ageSeconds: UInt64(max(0, (now - history.since).components.seconds)),
        previousMACAddress: history.previousMACAddress, changes: history.changes,
        silences: history.silences, isFlapping: history.isFlapping(at: now),
        isDuplicate: history.isDuplicate(at: now))
    }
  }

  /// Counts and logs what happened to a real server's entry.
  func note(_ before: Neighbor, _ after: Neighbor, _ address: IPAddress) {
    var metadata: Logger.Metadata = [
      "address": "\(address)",
      "mac": "\(after.macAddress.map(\.description) ?? "unknown")",
    ]
    if let old = before.macAddress, old != after.macAddress { metadata["previous"] = "\(old)" }
    let now = clock()
    let found = neighborHistories[address, default: NeighborHistory(at: now)]
      .note(before, after, at: now)
    for change in found {
      neighborEvents[change, default: 0] += 1
      logger.log(level: change.level, "real server \(change.words)", metadata: metadata)
    }
  }
}

extension NeighborChange {
  fileprivate var level: Logger.Level {
    switch self {
    case .answered: .info
    case .changedAddress: .notice
    case .fellSilent, .flapped, .duplicate: .warning
    }
  }

  fileprivate var words: String {
    switch self {
    case .answered: "answers"
    case .fellSilent: "does not answer on the LAN and gets no new connections"
    case .changedAddress: "has another MAC address"
    case .flapped: "comes and goes: look at its link, and at what else owns its address"
    case .duplicate: "has its MAC address of before again: two hosts may own its address"
    }
  }
}
