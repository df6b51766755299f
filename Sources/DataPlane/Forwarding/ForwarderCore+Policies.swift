// SPDX-License-Identifier: Apache-2.0

/// What a service's policy says of a packet.
extension ForwarderCore {
  /// Whether a packet leaves the real server its record names for another.
  ///
  /// A SYN does when the old connection is over or its real server takes no new ones
  /// (`is_new_conn_expected` with conn_reuse_mode 1 and 2, and never a delayed SYN); a datagram
  /// when its real server does not resolve, since no one else would ever release it; others by the
  /// service's policy. A client of a persistent service has its real server anyway (`cp->control`).
  @inline(__always)
  func schedulesAnew(
    _ meta: ConnectionMeta, _ status: NextHop.Status, _ facts: PacketFacts
  ) -> Bool {
    if facts.event.isSYN {
      return meta.isOver && !isPersistent(facts) || !status.isLive
        || !takesConnections(meta.realServer)
    }
    if status == .unresolved { return facts.event == .datagram }
    return status.isGone && removal(status, facts) == .rehash && !facts.event.isReset
  }

  /// What becomes of a connection whose real server is gone.
  @inline(__always)
  func removal(_ status: NextHop.Status, _ facts: PacketFacts) -> ServicePolicy.Removal {
    if status == .purged { return .purge }
    return status == .rehashed ? .rehash : policy(of: facts).removal
  }

  /// Whether the packet begins a connection where there is none.
  @inline(__always) func opens(_ facts: PacketFacts) -> Bool {
    facts.event.opensConnection
      || policy(of: facts).stray == .schedule && !facts.event.isReset
  }

  @inline(__always) func policy(of facts: PacketFacts) -> ServicePolicy {
    content.pointee.services[Int(facts.service)].policy
  }

  /// A segment of no connection that begins none. An RST is never answered, RFC 9293 §3.10.7.1.
  @inline(__always)
  static func stray(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch,
    _ frame: UnsafeMutableRawPointer, _ facts: PacketFacts
  ) {
    guard
      core.pointee.policy(of: facts).stray == .reset, !facts.event.isReset,
      facts.event.chunk == nil
    else {
      return drop(core, batch, Int(facts.index), .noConnection)
    }
    answer(core, batch, Int(facts.index), frame, .reset)
  }
}
