// SPDX-License-Identifier: Apache-2.0

/// What a service does where LVS has one sysctl for all services, or leaves no choice.
///
/// The first case of each is what a zeroed record says.
public struct ServicePolicy: Hashable, Sendable, BitwiseCopyable {
  /// What becomes of a live connection whose real server was removed. A SYN on it is scheduled
  /// anew in any case.
  public enum Removal: String, CaseIterable, Sendable, BitwiseCopyable {
    /// Its packets are dropped until it expires or the real server returns: `expire_nodest_conn` 0.
    case keep
    /// It is forgotten, and its packets are those of no connection: `expire_nodest_conn` 1.
    case purge
    /// Its next packet goes to another real server at once, unless that is an RST.
    case rehash
  }

  /// What becomes of a TCP segment or an SCTP packet of no connection that would not begin one.
  public enum Stray: String, CaseIterable, Sendable, BitwiseCopyable {
    /// It begins one, unless it is an RST or an ABORT: `sloppy_tcp` 1, `sloppy_sctp` 1.
    case schedule
    /// It is answered by RST, as an LVS director's own stack does (`sloppy_tcp` 0); SCTP is
    /// dropped.
    case reset
    case drop
  }

  /// What becomes of a packet's TTL or hop limit.
  public enum TimeToLive: String, CaseIterable, Sendable, BitwiseCopyable {
    /// It stays as it came: the director is no hop.
    case preserve
    /// One is taken; at 1 the client gets time exceeded: `decrement_ttl` of ip_vs_xmit.c.
    case decrement
    /// It becomes 1: the packet goes no further than the real server.
    case one
  }

  /// Whether a persistent service's client keeps a real server of weight 0.
  public enum QuiescentClients: String, CaseIterable, Sendable, BitwiseCopyable {
    /// `expire_quiescent_template` 0.
    case keep
    /// Its next connection is scheduled: `expire_quiescent_template` 1.
    case move
  }

  public var removal: Removal
  public var stray: Stray
  public var timeToLive: TimeToLive
  public var quiescentClients: QuiescentClients

  /// LVS's defaults, but that UDP is scheduled anew where LVS drops it, and that the TTL stays.
  public init(for ipProtocol: IPProtocol) {
    removal = ipProtocol == .udp ? .rehash : .keep
    stray = ipProtocol == .sctp ? .drop : .reset
    timeToLive = .preserve
    quiescentClients = .keep
  }
}
