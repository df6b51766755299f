// SPDX-License-Identifier: Apache-2.0

/// Pass 3: the packets that found no entry in their first line, in order. A connection opens in
/// line where its line has room and its service no more to say than whose turn it is; any other has
/// a function of its own. `end` is behind the last packet.
extension ForwarderCore {
  @inline(never)
  static func openIPv4(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch,
    _ end: UnsafeMutablePointer<IPv4Packet>
  ) {
    var place = core.pointee.ipv4Packets
    while place < end {
      let packet = place
      place += 1
      let (key, line, facts) = (packet.pointee.key, packet.pointee.line, packet.pointee.facts)
      if let position = IPv4ConnectionTable.findInPair(key, line) {
        settle(core, batch, position.meta, packet.pointee.frame, facts)
        continue
      }
      guard let position = IPv4ConnectionTable.vacancy(in: line) else {
        openBeside(core, batch, packet)
        continue
      }
      guard core.pointee.opens(facts) else {
        stray(core, batch, packet.pointee.frame, facts)
        continue
      }
      guard let realServer = nextInTurn(core, facts) else {
        open(core, batch, packet, at: position)
        continue
      }
      position.meta.pointee = begin(core, batch, realServer, packet.pointee.frame, facts)
      position.key.pointee = key
      core.pointee.counters.add(1, to: .ipv4Connections)
    }
  }

  /// As `openIPv4`.
  @inline(never)
  static func openIPv6(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch,
    _ end: UnsafeMutablePointer<IPv6Packet>
  ) {
    var place = core.pointee.ipv6Packets
    while place < end {
      let packet = place
      place += 1
      let (key, line, facts) = (packet.pointee.key, packet.pointee.line, packet.pointee.facts)
      if let position = IPv6ConnectionTable.findInPair(key, line) {
        settle(core, batch, position.meta, packet.pointee.frame, facts)
        continue
      }
      guard let position = IPv6ConnectionTable.vacancy(in: line) else {
        openBeside(core, batch, packet)
        continue
      }
      guard core.pointee.opens(facts) else {
        stray(core, batch, packet.pointee.frame, facts)
        continue
      }
      guard let realServer = nextInTurn(core, facts) else {
        open(core, batch, packet, at: position)
        continue
      }
      position.meta.pointee = begin(core, batch, realServer, packet.pointee.frame, facts)
      position.store(key)
      core.pointee.counters.add(1, to: .ipv6Connections)
    }
  }

  /// The real server of the connection that a packet opens, where its service says no more than
  /// whose turn it is; nil where there is more to it.
  @inline(__always)
  private static func nextInTurn(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ facts: PacketFacts
  ) -> UInt16? {
    let content = core.pointee.content
    let service = content.pointee.services + Int(facts.service)
    guard _fastPath(service.pointee.traits.isEmpty), _fastPath(facts.event.opensConnection) else {
      return nil
    }
    return core.pointee.cursors[Int(facts.service)].nextInTurn(service, content.pointee.members)
  }

  /// Counts and sends the first packet of a connection; returns its record.
  @inline(__always)
  private static func begin(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ realServer: UInt16,
    _ frame: UnsafeMutableRawPointer, _ facts: PacketFacts
  ) -> UInt64 {
    let content = core.pointee.content
    let beginning = content.pointee.beginnings[Int(facts.event.rawValue)]
    core.pointee.loads.add(beginning.load, to: realServer, in: content)
    core.pointee.realServers[Int(realServer)].connections &+= 1
    transmit(core, batch, realServer, frame, facts)
    return beginning.meta(realServer, batch.now).rawValue
  }

  /// Decides a packet of no connection whose first line is full.
  @inline(never)
  private static func openBeside(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ packet: UnsafePointer<IPv4Packet>
  ) {
    let (key, line, facts) = (packet.pointee.key, packet.pointee.line, packet.pointee.facts)
    let limit = core.pointee.yieldLimit(facts, batch.now)
    if let position = IPv4ConnectionTable.room(beside: line, now: batch.now, yieldingBefore: limit)
    {
      return open(core, batch, packet, at: position)
    }
    forwardUnrecorded(
      core, batch, packet.pointee.frame, facts, Client(ipv4: key),
      hash: core.pointee.hashKey.hash(key))
  }

  /// As the other one.
  @inline(never)
  private static func openBeside(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ packet: UnsafePointer<IPv6Packet>
  ) {
    let (key, line, facts) = (packet.pointee.key, packet.pointee.line, packet.pointee.facts)
    let limit = core.pointee.yieldLimit(facts, batch.now)
    if let position = IPv6ConnectionTable.room(beside: line, now: batch.now, yieldingBefore: limit)
    {
      return open(core, batch, packet, at: position)
    }
    forwardUnrecorded(
      core, batch, packet.pointee.frame, facts, Client(ipv6: key),
      hash: core.pointee.hashKey.hash(key.high ^ key.low ^ key.transport))
  }

  /// Decides a packet of no connection.
  ///
  /// - Parameter position: the entry that it may have.
  @inline(never)
  private static func open(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch,
    _ place: UnsafePointer<IPv4Packet>, at position: IPv4ConnectionTable.Position
  ) {
    let packet = place.pointee
    let client = Client(ipv4: packet.key)
    if core.pointee.isOnePacket(packet.facts) {
      return forwardOnce(core, batch, packet.frame, packet.facts, client)
    }
    guard let realServer = choose(core, batch, packet.frame, packet.facts, client) else { return }
    core.pointee.supersede(position.key, position.meta, .ipv4Connections, batch.now)
    position.meta.pointee = opened(core, realServer, packet.facts, batch.now).rawValue
    position.key.pointee = packet.key
    core.pointee.counters.add(1, to: .ipv4Connections)
    transmit(core, batch, realServer, packet.frame, packet.facts)
  }

  /// As the other one.
  @inline(never)
  private static func open(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch,
    _ place: UnsafePointer<IPv6Packet>, at position: IPv6ConnectionTable.Position
  ) {
    let packet = place.pointee
    let client = Client(ipv6: packet.key)
    if core.pointee.isOnePacket(packet.facts) {
      return forwardOnce(core, batch, packet.frame, packet.facts, client)
    }
    guard let realServer = choose(core, batch, packet.frame, packet.facts, client) else { return }
    core.pointee.supersede(position.transport, position.meta, .ipv6Connections, batch.now)
    position.meta.pointee = opened(core, realServer, packet.facts, batch.now).rawValue
    position.store(packet.key)
    core.pointee.counters.add(1, to: .ipv6Connections)
    transmit(core, batch, realServer, packet.frame, packet.facts)
  }

  /// One-packet scheduling: a connection that ends with the packet that opens it.
  static func forwardOnce(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch,
    _ frame: UnsafeMutableRawPointer, _ facts: PacketFacts, _ client: Client
  ) {
    guard let realServer = choose(core, batch, frame, facts, client) else { return }
    core.pointee.uncount(opened(core, realServer, facts, batch.now))
    transmit(core, batch, realServer, frame, facts)
  }

  /// The real server of a new connection, or nil and the packet's verdict is given.
  @inline(__always)
  private static func choose(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch,
    _ frame: UnsafeMutableRawPointer, _ facts: PacketFacts, _ client: Client
  ) -> UInt16? {
    guard core.pointee.opens(facts) else {
      stray(core, batch, frame, facts)
      return nil
    }
    guard let realServer = schedule(core, facts.service, client, now: batch.now) else {
      answer(core, batch, Int(facts.index), frame, .portUnreachable)
      return nil
    }
    return realServer
  }
}
