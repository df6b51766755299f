// SPDX-License-Identifier: Apache-2.0

/// What happens less than once per packet: connections open, change state, move, close.
extension ForwarderCore {
  /// Decides a packet whose record needs more than a refresh.
  @inline(never)
  static func settle(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch,
    _ record: UnsafeMutablePointer<UInt64>, _ frame: UnsafeMutableRawPointer, _ facts: PacketFacts
  ) {
    let meta = ConnectionMeta(rawValue: record.pointee)
    let isExpired = meta.isExpired(at: batch.now)
    let status = core.pointee.status(of: meta.realServer)
    let isForgotten = isExpired || status.isGone && core.pointee.removal(status, facts) == .purge
    if isForgotten, !core.pointee.opens(facts) { return stray(core, batch, frame, facts) }
    if isForgotten || core.pointee.schedulesAnew(meta, status, facts) {
      let client = core.pointee.client(of: record, facts.service)
      if core.pointee.isOnePacket(facts) {
        // The record is left to the sweep.
        return forwardOnce(core, batch, frame, facts, client)
      }
      if let realServer = schedule(core, facts.service, client, now: batch.now) {
        core.pointee.uncount(meta)
        core.pointee.counters.add(1, to: isExpired ? .expired : .rescheduled)
        record.pointee = opened(core, realServer, facts, batch.now).rawValue
        return transmit(core, batch, realServer, frame, facts)
      }
      // A SYN repeated to a real server that is being drained, with no other to go to, stays.
      guard !isForgotten, status.isLive, !meta.isOver else {
        // The client has begun anew: the old connection is no more.
        if facts.event.isSYN { record.pointee = meta.refreshed(until: batch.now).rawValue }
        return answer(core, batch, Int(facts.index), frame, .portUnreachable)
      }
    }
    guard status.isLive else {
      return drop(
        core, batch, facts, status == .unresolved ? .neighborUnresolved : .realServerRemoved)
    }
    let transition = core.pointee.content.pointee.states.row(meta.state).transition(on: facts.event)
    core.pointee.recount(meta.realServer, from: meta.state, to: transition.nextState)
    if ConnectionState.isEstablished(rawValue: transition.nextState),
      transition.nextState != meta.state
    {
      core.pointee.counters.add(1, to: .established)
      if core.pointee.isPersistent(facts) {
        let client = core.pointee.client(of: record, facts.service)
        assureTemplate(core, facts.service, client, now: batch.now)
      }
    }
    let idle = core.pointee.content.pointee.states.row(transition.nextState).idleMilliseconds
    record.pointee =
      ConnectionMeta(
        realServer: meta.realServer, state: transition.nextState, birth: meta.birth,
        expiry: batch.now.advanced(byMilliseconds: idle)
      ).rawValue
    transmit(core, batch, meta.realServer, frame, facts)
  }

  /// The real server of a new connection of `client`, or nil if none takes connections.
  static func schedule(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ service: UInt16, _ client: Client, now: Tick
  ) -> UInt16? {
    core.pointee.content.pointee.services[Int(service)].traits.contains(.persistent)
      ? persist(core, service, client, now: now) : chosen(core, service, client, now: now)
  }

  /// The scheduler's choice for `service`.
  static func chosen(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ service: UInt16, _ client: Client, now: Tick
  ) -> UInt16? {
    let decision = Decision(
      core.pointee.content, service: service, client: client, loads: core.pointee.loads,
      localities: core.pointee.localities, hashKey: core.pointee.hashKey, now: now)
    guard let position = core.pointee.cursors[Int(service)].schedule(decision) else { return nil }
    return decision.members[position].realServer
  }

  static func transmit(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ realServer: UInt16,
    _ frame: UnsafeMutableRawPointer, _ facts: PacketFacts
  ) {
    transmit(core, batch, realServer, frame, index: Int(facts.index), ipBytes: facts.ipBytes)
  }

  static func transmit(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ realServer: UInt16,
    _ frame: UnsafeMutableRawPointer, index: Int, ipBytes: UInt16
  ) {
    let nextHop = core.pointee.content.pointee.nextHops[Int(realServer)]
    core.pointee.realServers[Int(realServer)].packets &+= 1
    core.pointee.realServers[Int(realServer)].bytes &+= UInt64(ipBytes)
    core.pointee.lastRealServer = realServer
    if _slowPath(nextHop.status == .altering),
      !prepare(core, batch, nextHop, frame, index: index, ipBytes: ipBytes)
    {
      return
    }
    nextHop.rewrite(frame)
    batch.verdicts[index] = .forward(nextHop.egress)
  }

  @inline(__always)
  private static func drop(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ facts: PacketFacts,
    _ reason: DropReason
  ) {
    drop(core, batch, Int(facts.index), reason)
  }
}

/// Records and their counts. All in line: a call would copy what it is called on, all of the core.
extension ForwarderCore {
  @inline(__always) func status(of realServer: UInt16) -> NextHop.Status {
    Int(realServer) < content.pointee.realServerCount
      ? content.pointee.nextHops[Int(realServer)].status : .vacant
  }

  @inline(__always)
  private func client(of record: UnsafeMutablePointer<UInt64>, _ service: UInt16) -> Client {
    Client(
      record: record, isInIPv6Table: content.pointee.services[Int(service)].usesIPv6Table)
  }

  @inline(__always) func isOnePacket(_ facts: PacketFacts) -> Bool {
    content.pointee.services[Int(facts.service)].isOnePacket && facts.event == .datagram
  }

  @inline(__always) func isPersistent(_ facts: PacketFacts) -> Bool {
    content.pointee.services[Int(facts.service)].traits.contains(.persistent)
  }

  @inline(__always) func takesConnections(_ realServer: UInt16) -> Bool {
    let service = content.pointee.placements[Int(realServer)].service
    return member(realServer, of: service)?.takesConnections ?? false
  }

  /// The real server's place in the list of `service`; nil where it has none.
  @inline(__always) func member(_ realServer: UInt16, of service: UInt16) -> Member? {
    guard Int(realServer) < content.pointee.realServerCount else { return nil }
    let placement = content.pointee.placements[Int(realServer)]
    let record = content.pointee.services + Int(service)
    guard placement.service == service, placement.position < record.pointee.memberCount else {
      return nil
    }
    let member = content.pointee.members[Int(record.pointee.firstMember &+ placement.position)]
    return member.realServer == realServer ? member : nil
  }

  /// The record of a connection that begins with this packet; counts it.
  static func opened(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ realServer: UInt16, _ facts: PacketFacts,
    _ now: Tick
  ) -> ConnectionMeta {
    let beginning = core.pointee.content.pointee.beginnings[Int(facts.event.rawValue)]
    core.pointee.realServers[Int(realServer)].connections &+= 1
    core.pointee.loads.add(beginning.load, to: realServer, in: core.pointee.content)
    core.pointee.noteOverload(of: realServer)
    return beginning.meta(realServer, now)
  }

  /// `ip_vs_bind_dest`: the connection that reaches the upper threshold overloads.
  @inline(__always) private func noteOverload(of realServer: UInt16) {
    let placement = content.pointee.placements[Int(realServer)]
    let service = content.pointee.services + Int(placement.service)
    guard _slowPath(service.pointee.isLimited) else { return }
    let place = Int(service.pointee.firstMember &+ placement.position)
    if content.pointee.members[place].isLimited {
      _ = loads.isOverloaded(realServer, content.pointee.thresholds[place])
    }
  }

  /// A record ends: its real server has one connection less.
  @inline(__always) func uncount(_ meta: ConnectionMeta) {
    loads.add(0 &- ConnectionLoads.unit(of: meta.state), to: meta.realServer, in: content)
  }

  @inline(__always)
  private func recount(_ realServer: UInt16, from old: UInt8, to new: UInt8) {
    guard ConnectionState.isActive(rawValue: old) != ConnectionState.isActive(rawValue: new) else {
      return
    }
    let change = ConnectionLoads.unit(of: new) &- ConnectionLoads.unit(of: old)
    loads.add(change, to: realServer, in: content)
  }

  /// Takes a record out whose time is over; a vacant one stays as it is.
  @inline(__always)
  func vacate(
    _ key: UnsafeMutablePointer<UInt64>, _ record: UnsafeMutablePointer<UInt64>,
    _ occupancy: ForwarderCounter
  ) {
    guard key.pointee != 0 else { return }
    counters.add(1, to: .expired)
    remove(key, record, occupancy)
  }

  /// Takes a record out, so that its entry can be written.
  @inline(__always)
  func remove(
    _ key: UnsafeMutablePointer<UInt64>, _ record: UnsafeMutablePointer<UInt64>,
    _ occupancy: ForwarderCounter
  ) {
    key.pointee = 0
    uncount(ConnectionMeta(rawValue: record.pointee))
    counters.add(-1, to: occupancy)
  }
}
