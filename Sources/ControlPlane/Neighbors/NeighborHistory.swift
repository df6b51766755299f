// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What a real server's neighbour entry went through since it is followed.
struct NeighborHistory {
  /// An address that comes back after so long is a host's that moved twice, not a second host's.
  private static let duplicateWindow = Duration.seconds(60)
  /// So many silences in so long are a flap: the kernel takes a quarter of a minute to see one.
  private static let flapCount = 3
  private static let flapWindow = Duration.seconds(600)

  /// When its present state began, by the director's clock.
  private(set) var since: Duration
  /// The one before the last change.
  private(set) var previousMACAddress: MACAddress?
  /// Of the MAC address.
  private(set) var changes: UInt64 = 0
  private(set) var silences: UInt64 = 0
  private var lastChange: Duration?
  private var lastDuplicate: Duration?
  private var lastFlap: Duration?
  /// The last `flapCount` at most.
  private var silenceTimes: [Duration] = []

  init(at now: Duration) { since = now }

  /// Takes a change and says what it is, which may be nothing.
  mutating func note(_ before: Neighbor, _ after: Neighbor, at now: Duration) -> [NeighborChange] {
    var found: [NeighborChange] = []
    if let old = before.macAddress, old != after.macAddress {
      found.append(.changedAddress)
      if after.macAddress == previousMACAddress, isRecent(lastChange, Self.duplicateWindow, now) {
        found.append(.duplicate)
        lastDuplicate = now
      }
      (previousMACAddress, lastChange) = (old, now)
      changes += 1
    }
    if before.isResolved != after.isResolved {
      found.append(after.isResolved ? .answered : .fellSilent)
      if !after.isResolved { noteSilence(now, &found) }
    }
    if !found.isEmpty { since = now }
    return found
  }

  /// Two hosts answered for the address a short while ago.
  func isDuplicate(at now: Duration) -> Bool { isRecent(lastDuplicate, Self.flapWindow, now) }

  func isFlapping(at now: Duration) -> Bool { isRecent(lastFlap, Self.flapWindow, now) }

  private mutating func noteSilence(_ now: Duration, _ found: inout [NeighborChange]) {
    silences += 1
    silenceTimes.append(now)
    guard silenceTimes.count == Self.flapCount else { return }
    if now - silenceTimes.removeFirst() <= Self.flapWindow {
      found.append(.flapped)
      lastFlap = now
    }
  }

  private func isRecent(_ time: Duration?, _ window: Duration, _ now: Duration) -> Bool {
    time.map { now - $0 <= window } ?? false
  }
}

/// A real server's neighbour entry as it is and as it was.
public struct NeighborStatus: Hashable, Sendable {
  public var address: IPAddress
  public var neighbor: Neighbor
  /// In which it is a real server, in the order they were added.
  public var services: [VirtualServiceKey]
  /// In its present state.
  public var ageSeconds: UInt64
  public var previousMACAddress: MACAddress?
  /// Of the MAC address, and times that it fell silent, since it is followed.
  public var changes: UInt64
  public var silences: UInt64
  public var isFlapping: Bool
  public var isDuplicate: Bool
}
