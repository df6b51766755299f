// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// One entry of the connection tables, or of the clients that persistent services remember: these
/// have a client port of 0 and the state `NONE`, or `ASSURED` once a connection was established.
public struct ConnectionReport: Hashable, Sendable, Codable {
  public var service: VirtualServiceKey
  /// What the client addressed: one port where the service has many.
  public var virtual: VirtualServiceKey
  public var clientAddress: IPAddress
  public var clientPort: Port
  public var realServer: RealServerAddress
  /// The state's word as in `ipvsadm -Lc`: `ESTABLISHED`, `FIN_WAIT`, …
  public var state: String
  /// Until the entry expires if no packet comes.
  public var remainingSeconds: UInt32
  /// Since its last packet, of a client since its last connection began: what is over of the
  /// present timeout.
  public var idleSeconds: UInt32

  public init(
    service: VirtualServiceKey, virtual: VirtualServiceKey, clientAddress: IPAddress,
    clientPort: Port, realServer: RealServerAddress, state: String, remainingSeconds: UInt32,
    idleSeconds: UInt32 = 0
  ) {
    self.service = service
    self.virtual = virtual
    self.clientAddress = clientAddress
    self.clientPort = clientPort
    self.realServer = realServer
    self.state = state
    self.remainingSeconds = remainingSeconds
    self.idleSeconds = idleSeconds
  }
}

/// A bounded part of the connections that were asked for; it may be empty though there are more.
public struct ConnectionPageReport: Hashable, Sendable, Codable {
  public var connections: [ConnectionReport]
  /// What to give as `from` to get the next page; nil after the last.
  public var next: UInt64?

  public init(connections: [ConnectionReport], next: UInt64?) {
    self.connections = connections
    self.next = next
  }
}

/// How many connections of a bounded part of the tables were asked for.
public struct ConnectionCountReport: Hashable, Sendable, Codable {
  public var connections: Int
  /// What to give as `from` to count the next part; nil after the last.
  public var next: UInt64?

  public init(connections: Int, next: UInt64?) {
    self.connections = connections
    self.next = next
  }
}
