// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// A real server that takes no new connections until its drain is cancelled, whatever its weight,
/// and whose connections may come to an end before their time.
public struct Drain: Sendable {
  /// By the director's clock.
  var began: Duration
  /// When `end` is done to what is left then; nil for never.
  var deadline: Duration?
  var end: ServicePolicy.Removal
  /// When it began.
  var initialConnections: UInt64
  var phase = Phase.draining

  public enum Phase: String, Sendable {
    /// Connections are left.
    case draining
    /// None was left when it was last looked.
    case empty
    /// The deadline is over: what was left is purged or goes to other real servers.
    case ended
  }

  /// Whether the workers treat it as gone.
  var isGone: Bool { phase == .ended }
}

/// How far a drain has come.
public struct DrainStatus: Sendable {
  public var service: VirtualServiceKey
  public var realServer: RealServerConfiguration
  public var phase: Drain.Phase
  /// What becomes of what is left at the deadline; `keep`: it goes on.
  public var end: ServicePolicy.Removal
  public var elapsedSeconds: UInt64
  /// nil where there is no deadline.
  public var secondsToDeadline: UInt64?
  public var initialConnections: UInt64
  /// Those left.
  public var connections: UInt64
  /// So old was the oldest of them, at least, when the tables were last looked through; nil until
  /// that is done, and where none was left.
  public var oldestSeconds: UInt64?
  /// Until none is left, at the pace since the drain began; nil while none has ended.
  public var secondsToEmpty: UInt64?
}
