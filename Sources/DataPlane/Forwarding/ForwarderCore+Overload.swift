// SPDX-License-Identifier: Apache-2.0

/// A pair of lines full of live records: a half-open one may yield to a new connection; where none
/// may, the packet is forwarded by hash without a record. Established connections never yield.
extension ForwarderCore {
  /// Of silence, after which a half-open connection may be evicted. A client whose handshake goes
  /// on acknowledges within a round trip, or sends its SYN again 1 s and 3 s after the first one
  /// (RFC 6298 §2: timeouts of 1 s and twice that); 3 s is also what §5.7 holds for a slow path's.
  /// The kernel's `ip_vs_random_dropentry` takes half-open ones of any age, at random.
  private static let evictionMilliseconds: UInt32 = 3000

  /// A half-open connection that expires before then yields to the one that a packet opens.
  @inline(__always) func yieldLimit(_ facts: PacketFacts, _ now: Tick) -> Tick {
    guard facts.event.opensConnection else { return now }
    let idle = content.pointee.states.row(ConnectionState.synReceived.rawValue).idleMilliseconds
    return now.advanced(byMilliseconds: idle &- Self.evictionMilliseconds)
  }

  /// Takes the record out that lies where another is about to be written, and counts whether it
  /// had expired or yields; a vacant entry stays as it is.
  @inline(__always)
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
  @inline(__always)
  static func forwardUnrecorded(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch,
    _ frame: UnsafeMutableRawPointer, _ facts: PacketFacts, _ client: Client, hash: UInt64
  ) {
    if core.pointee.isOnePacket(facts) { return forwardOnce(core, batch, frame, facts, client) }
    let decision = Decision(
      core.pointee.content, service: facts.service, client: client, loads: core.pointee.loads,
      localities: core.pointee.localities, hashKey: core.pointee.hashKey, now: batch.now)
    let service = decision.service
    if service.traits.contains(.persistent),
      let realServer = persist(core, facts.service, client, now: batch.now)
    {
      core.pointee.counters.add(1, to: .unrecorded)
      return transmit(core, batch, realServer, frame, facts)
    }
    let count = UInt64(service.heaviestAvailable > 0 ? service.memberCount : 0)
    var place = (hash &>> 32 &* count) &>> 32
    // Counted, because another worker may overload the last one meanwhile.
    for _ in 0..<count {
      if decision.accepts(Int(place)) {
        core.pointee.counters.add(1, to: .unrecorded)
        return transmit(core, batch, decision.members[Int(place)].realServer, frame, facts)
      }
      place = place &+ 1 < count ? place &+ 1 : 0
    }
    answer(core, batch, Int(facts.index), frame, .portUnreachable)
  }
}
