// SPDX-License-Identifier: Apache-2.0

/// A pair of lines full of live records: a half-open one may yield to a new connection; where none
/// may, the packet is forwarded by hash without a record. Established connections never yield.
extension ForwarderCore {
  /// Of silence, after which a half-open connection may be evicted. A client whose handshake goes
  /// on acknowledges within a round trip, or sends its SYN again 1 s and 3 s after the first one
  /// (RFC 6298 §2: timeouts of 1 s and twice that); 3 s is also what §5.7 holds for a slow path's.
  /// The kernel's `ip_vs_random_dropentry` takes half-open ones of any age, at random.
  private static let evictionMilliseconds: UInt32 = 3000

  private func evictionLimit(_ now: Tick) -> Tick {
    let idle = content.pointee.states.row(ConnectionState.synReceived.rawValue).idleMilliseconds
    return now.advanced(byMilliseconds: idle &- Self.evictionMilliseconds)
  }

  /// An entry for a connection that is not in `line` or its neighbour; nil where there is no room.
  @inline(__always)
  func room(
    inIPv4 line: UnsafeMutableRawPointer, _ facts: PacketFacts, _ now: Tick
  ) -> IPv4ConnectionTable.Position? {
    if let position = IPv4ConnectionTable.free(line, now: now) { return position }
    guard facts.event.opensConnection else { return nil }
    return IPv4ConnectionTable.halfOpen(line, expiringBefore: evictionLimit(now))
  }

  /// As `room(inIPv4:)`.
  @inline(__always)
  func room(
    inIPv6 line: UnsafeMutableRawPointer, _ facts: PacketFacts, _ now: Tick
  ) -> IPv6ConnectionTable.Position? {
    if let position = IPv6ConnectionTable.free(line, now: now) { return position }
    guard facts.event.opensConnection else { return nil }
    return IPv6ConnectionTable.halfOpen(line, expiringBefore: evictionLimit(now))
  }

  /// Takes the record out that lies where another is about to be written, and counts whether it
  /// had expired or yields; a vacant entry stays as it is.
  func supersede(
    _ key: UnsafeMutablePointer<UInt64>, _ record: UnsafeMutablePointer<UInt64>,
    _ occupancy: ForwarderCounter, _ now: Tick
  ) {
    let meta = ConnectionMeta(rawValue: record.pointee)
    guard key.pointee != 0, !meta.isExpired(at: now) else {
      return vacate(key, record, occupancy)
    }
    let idle = content.pointee.states.row(meta.state).idleMilliseconds
    let silence = Int32(bitPattern: idle) &- meta.expiry.milliseconds(since: now)
    counters.countEviction(silentMilliseconds: UInt32(bitPattern: max(0, silence)))
    remove(key, record, occupancy)
  }

  /// Both lines are full of live connections: the same client goes to the same real server by
  /// hash as long as the list does not change, without a record; a client of a persistent service
  /// to the one its template names.
  static func forwardUnrecorded(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch,
    _ frame: UnsafeMutableRawPointer, _ facts: PacketFacts, _ client: Client, hash key: UInt64
  ) {
    let decision = Decision(
      core.pointee.content, service: facts.service, client: client, loads: core.pointee.loads,
      localities: core.pointee.localities, hashKey: core.pointee.hashKey, now: batch.now)
    let service = decision.service
    if service.persistenceMilliseconds != 0,
      let realServer = persist(core, facts.service, client, now: batch.now)
    {
      core.pointee.counters.add(1, to: .unrecorded)
      return transmit(core, batch, realServer, frame, facts)
    }
    guard service.heaviestAvailable > 0 else {
      return answer(core, batch, Int(facts.index), frame, .portUnreachable)
    }
    var place = UInt32(
      truncatingIfNeeded: (core.pointee.hashKey.hash(key) &>> 32) % UInt64(service.memberCount))
    // Counted, because another worker may overload the last one meanwhile.
    for _ in 0..<service.memberCount {
      if decision.accepts(Int(place)) {
        core.pointee.counters.add(1, to: .unrecorded)
        return transmit(core, batch, decision.members[Int(place)].realServer, frame, facts)
      }
      place = (place &+ 1) % service.memberCount
    }
    answer(core, batch, Int(facts.index), frame, .portUnreachable)
  }
}
