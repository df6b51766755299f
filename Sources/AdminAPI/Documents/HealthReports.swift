// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What checks make of a real server of a service.
public struct HealthReport: Hashable, Sendable, Codable {
  /// Whether all its checks are up.
  public var isUp: Bool
  /// Whether it is in the table that packets are forwarded by.
  public var isMember: Bool
  /// What it has of its weight now: 0 while it is down.
  public var effectiveWeight: UInt32
  /// Whether it only takes the place of others.
  public var isSorryServer: Bool

  public init(isUp: Bool, isMember: Bool, effectiveWeight: UInt32, isSorryServer: Bool = false) {
    self.isSorryServer = isSorryServer
    self.isUp = isUp
    self.isMember = isMember
    self.effectiveWeight = effectiveWeight
  }
}

extension RealServerReport {
  /// As ipvsadm shows it: the weight that packets are forwarded by.
  public var effectiveWeight: UInt32 { drain == nil ? health?.effectiveWeight ?? weight : 0 }

  /// Whether only the configuration file can say it.
  public var isSorryServer: Bool { health?.isSorryServer ?? false }

  /// Whether ipvsadm shows it.
  public var isMember: Bool { health?.isMember ?? true }
}

/// A check of a real server: what several services ask alike is one.
public struct CheckReport: Hashable, Sendable, Codable {
  /// Not given out twice.
  public var number: UInt64
  /// `tcp 192.0.2.9:80`
  public var check: String
  public var realServer: IPAddress
  public var isUp: Bool
  /// How long it has been up or down.
  public var sinceSeconds: Double
  public var successes: UInt64
  public var failures: UInt64
  /// How often it came up or went down.
  public var changes: UInt64
  /// How long the last result took, and all of them.
  public var lastSeconds: Double
  public var totalSeconds: Double
  /// Why the last one failed; nil where it did not.
  public var lastFailure: String?

  public init(
    number: UInt64, check: String, realServer: IPAddress, isUp: Bool, sinceSeconds: Double,
    successes: UInt64, failures: UInt64, changes: UInt64, lastSeconds: Double,
    totalSeconds: Double, lastFailure: String?
  ) {
    self.number = number
    self.check = check
    self.realServer = realServer
    self.isUp = isUp
    self.sinceSeconds = sinceSeconds
    self.successes = successes
    self.failures = failures
    self.changes = changes
    self.lastSeconds = lastSeconds
    self.totalSeconds = totalSeconds
    self.lastFailure = lastFailure
  }
}
