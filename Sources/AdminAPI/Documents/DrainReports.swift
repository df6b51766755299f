// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What is asked for by `POST /v1/drains`.
public struct DrainRequest: Hashable, Sendable, Codable {
  /// The real server.
  public var address: IPAddress
  /// In this service only; in all that it serves where it is left out.
  public var service: VirtualServiceKey?
  /// From now; none where it is left out.
  public var deadlineSeconds: UInt32?
  /// What becomes of the connections that are left then; `keep`, if left out: they go on.
  public var then: ServicePolicy.Removal?

  public init(
    address: IPAddress, service: VirtualServiceKey? = nil, deadlineSeconds: UInt32? = nil,
    then: ServicePolicy.Removal? = nil
  ) {
    self.address = address
    self.service = service
    self.deadlineSeconds = deadlineSeconds
    self.then = then
  }
}

/// A real server of a service that drains, and how far it has come.
public struct DrainReport: Hashable, Sendable, Codable {
  public var service: VirtualServiceKey
  public var realServer: RealServerAddress
  public var phase: Phase
  public var then: ServicePolicy.Removal
  public var elapsedSeconds: UInt64
  /// Until the deadline; nil where there is none.
  public var secondsToDeadline: UInt64?
  /// When it began.
  public var initialConnections: UInt64
  /// Those left.
  public var connections: UInt64
  /// So old was the oldest of them, at least, when the tables were last looked through, which takes
  /// 2 s per million records: at most 9 s or 18 % short. nil until then, and where none was left.
  public var oldestSeconds: UInt64?
  /// Until none is left, at the pace since it began; nil while none has ended.
  public var secondsToEmpty: UInt64?

  public enum Phase: String, Hashable, Sendable, Codable {
    /// Connections are left.
    case draining
    /// None is left.
    case empty
    /// The deadline is over, and what was left is purged or goes to other real servers.
    case ended
  }

  public init(
    service: VirtualServiceKey, realServer: RealServerAddress, phase: Phase,
    then: ServicePolicy.Removal, elapsedSeconds: UInt64, secondsToDeadline: UInt64?,
    initialConnections: UInt64, connections: UInt64, oldestSeconds: UInt64?,
    secondsToEmpty: UInt64?
  ) {
    self.service = service
    self.realServer = realServer
    self.phase = phase
    self.then = then
    self.elapsedSeconds = elapsedSeconds
    self.secondsToDeadline = secondsToDeadline
    self.initialConnections = initialConnections
    self.connections = connections
    self.oldestSeconds = oldestSeconds
    self.secondsToEmpty = secondsToEmpty
  }
}
