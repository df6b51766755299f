// SPDX-License-Identifier: Apache-2.0

/// What the packet loop leaves to the end of the batch: SCTP, which it does not decode, and packets
/// that name no ports. ICMP errors go where the connection goes that they quote, fragments where
/// their first one went, and wait if it has not come yet. Any of them reach any queue, so the other
/// workers' tables are asked too.
extension ForwarderCore {
  /// Keeps a packet about which parsing said its first word: for the services of many ports, or
  /// for the end of the batch, when the connections of the batch are known.
  @inline(never)
  static func keep(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int,
    _ reason: DropReason
  ) {
    if reason != .noService {
      core.pointee.portless[core.pointee.portlessCount] = UInt8(truncatingIfNeeded: index)
      core.pointee.portlessCount &+= 1
    } else if core.pointee.content.pointee.wideServices.count > 0 {
      core.pointee.unserved[core.pointee.unservedCount] = UInt8(truncatingIfNeeded: index)
      core.pointee.unservedCount &+= 1
    } else {
      drop(core, batch, index, reason)
    }
  }

  /// Pass 4.
  @inline(never)
  static func forwardPortless(_ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch) {
    for place in 0..<core.pointee.portlessCount {
      let index = Int(core.pointee.portless[place])
      let octets = batch.frame(index)
      let (bytes, frame) = (octets.bytes, octets.baseAddress.unsafelyUnwrapped)
      guard let (offset, type) = PacketParser.networkHeader(bytes) else {
        drop(core, batch, index, .truncated)
        continue
      }
      let reason =
        type == .ipv4
        ? forwardIPv4(core, batch, index, bytes, frame, at: offset)
        : forwardIPv6(core, batch, index, bytes, frame, at: offset)
      if let reason { drop(core, batch, index, reason) }
    }
    core.pointee.portlessCount = 0
  }

  /// Forwards one IPv4 packet, or says why not; nil also where its verdict is given.
  private static func forwardIPv4(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int,
    _ bytes: RawSpan, _ frame: UnsafeMutableRawPointer, at offset: Int
  ) -> DropReason? {
    if let fragment = PacketParser.ipv4Fragment(bytes, at: offset) {
      let (source, destination) = (bytes.uint32(at: offset + 12), bytes.uint32(at: offset + 16))
      let key = FragmentKey(ipv4: source, destination, fragment)
      if fragment.offset != 0 { return followFirst(core, batch, index, frame, key, fragment) }
      let parsed = firstTransport(bytes, fragment)
      guard let transport = parsed.fields else { return parsed.reason }
      let fields = IPv4Fields(source: source, destination: destination, transport: transport)
      if let reason = openIPv4(core, batch, index, frame, fields) { return reason }
      remember(core, batch, index, key, fragment)
      return nil
    }
    if bytes.uint8(at: offset + 9) == IPProtocol.sctp.rawValue {
      let (headerBytes, ipBytes) = (
        Int(bytes.uint8(at: offset) & 15) * 4, Int(bytes.uint16(at: offset + 2))
      )
      let parsed = PacketParser.anyTransport(
        bytes, at: offset + headerBytes, bytes: ipBytes - headerBytes,
        ipProtocol: IPProtocol.sctp.rawValue, ipBytes: ipBytes)
      guard let transport = parsed.fields else { return parsed.reason }
      let fields = IPv4Fields(
        source: bytes.uint32(at: offset + 12), destination: bytes.uint32(at: offset + 16),
        transport: transport)
      return openIPv4(core, batch, index, frame, fields)
    }
    let parsed = PacketParser.ipv4Error(bytes, at: offset)
    guard let error = parsed.fields else { return parsed.reason }
    guard let record = core.pointee.record(of: error.reversed, now: batch.now) else {
      return .icmpUnmatched
    }
    return follow(
      core, batch, index, frame, record.realServer, error.reversed.transport.ipBytes, error.kind)
  }

  /// As `forwardIPv4`.
  private static func forwardIPv6(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int,
    _ bytes: RawSpan, _ frame: UnsafeMutableRawPointer, at offset: Int
  ) -> DropReason? {
    let end = offset + 40 + Int(bytes.uint16(at: offset + 4))
    let walk = PacketParser.upperLayer(
      bytes, at: offset + 40, end: end, first: bytes.uint8(at: offset + 6))
    guard let upper = walk.fields else { return walk.reason }
    if upper.header == PacketParser.fragmentHeader {
      guard
        let fragment = PacketParser.ipv6Fragment(bytes, upper, network: offset, end: end)
      else { return .truncated }
      let pair = IPv6Pair(bytes, at: offset)
      let key = FragmentKey(ipv6: pair, fragment)
      if fragment.offset != 0 { return followFirst(core, batch, index, frame, key, fragment) }
      let parsed = firstTransport(bytes, fragment)
      guard let transport = parsed.fields else { return parsed.reason }
      let fields = IPv6Fields(
        sourceHigh: pair.sourceHigh, sourceLow: pair.sourceLow,
        destinationHigh: pair.destinationHigh, destinationLow: pair.destinationLow,
        transport: transport)
      if let reason = openIPv6(core, batch, index, frame, fields) { return reason }
      remember(core, batch, index, key, fragment)
      return nil
    }
    if upper.header == IPProtocol.sctp.rawValue {
      let parsed = PacketParser.anyTransport(
        bytes, at: upper.offset, bytes: end - upper.offset, ipProtocol: upper.header,
        ipBytes: end - offset)
      guard let transport = parsed.fields else { return parsed.reason }
      let pair = IPv6Pair(bytes, at: offset)
      let fields = IPv6Fields(
        sourceHigh: pair.sourceHigh, sourceLow: pair.sourceLow,
        destinationHigh: pair.destinationHigh, destinationLow: pair.destinationLow,
        transport: transport)
      return openIPv6(core, batch, index, frame, fields)
    }
    guard upper.header == IPProtocol.icmpv6.rawValue else { return .unknownProtocol }
    let parsed = PacketParser.ipv6Error(bytes, upper, network: offset, end: end)
    guard let error = parsed.fields else { return parsed.reason }
    guard let record = core.pointee.record(of: error.reversed, now: batch.now) else {
      return .icmpUnmatched
    }
    return follow(
      core, batch, index, frame, record.realServer, error.reversed.transport.ipBytes, error.kind)
  }

  /// The transport header of a first fragment, which must be whole.
  private static func firstTransport(
    _ bytes: RawSpan, _ fragment: FragmentFields
  ) -> Parsed<TransportFields> {
    guard fragment.isOfService else { return Parsed(drop: .unknownProtocol) }
    let parsed = PacketParser.anyTransport(
      bytes, at: fragment.payloadOffset, bytes: fragment.payloadBytes,
      ipProtocol: fragment.ipProtocol, ipBytes: Int(fragment.ipBytes))
    guard parsed.fields == nil, parsed.reason == .truncated else { return parsed }
    return Parsed(drop: .tinyFragment)
  }

  /// A first fragment is a packet of its connection: one of another worker's is followed as it is,
  /// any other lives in this worker's table.
  private static func openIPv4(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int,
    _ frame: UnsafeMutableRawPointer, _ fields: IPv4Fields
  ) -> DropReason? {
    guard let key = core.pointee.key(of: fields) else {
      return openIPv6(core, batch, index, frame, IPv6Fields(mapping: fields))
    }
    let line = core.pointee.ipv4.line(core.pointee.hashKey.hash(key))
    if IPv4ConnectionTable.findInPair(key, line) == nil,
      let record = core.pointee.record(of: key, now: batch.now)
    {
      return follow(core, batch, index, frame, record.realServer, fields.transport.ipBytes, nil)
    }
    core.pointee.ipv4Packets.pointee = IPv4Packet(
      key: key, line: line, frame: frame,
      traits: PacketTraits(fields.transport, index: index))
    openIPv4(core, batch, core.pointee.ipv4Packets + 1)
    return nil
  }

  /// As `openIPv4`.
  private static func openIPv6(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int,
    _ frame: UnsafeMutableRawPointer, _ fields: IPv6Fields
  ) -> DropReason? {
    guard let key = core.pointee.key(of: fields) else { return .noService }
    let line = core.pointee.ipv6.line(
      core.pointee.hashKey.hash(key.high, key.low, key.transport))
    if IPv6ConnectionTable.findInPair(key, line) == nil,
      let record = core.pointee.record(of: key, now: batch.now)
    {
      return follow(core, batch, index, frame, record.realServer, fields.transport.ipBytes, nil)
    }
    core.pointee.ipv6Packets.pointee = IPv6Packet(
      key: key, line: line, frame: frame,
      traits: PacketTraits(fields.transport, index: index))
    openIPv6(core, batch, core.pointee.ipv6Packets + 1)
    return nil
  }
}

/// What follows a decision that was made for another packet.
extension ForwarderCore {
  /// Counts a first fragment and remembers where it went. One that is the whole datagram has no
  /// followers, RFC 6946.
  private static func remember(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int,
    _ key: FragmentKey, _ fragment: FragmentFields
  ) {
    guard batch.verdicts[index].isForward else { return }
    core.pointee.counters.count(.firstFragment)
    guard fragment.hasMore else { return }
    let evicts = core.pointee.fragments.remember(
      key, realServer: core.pointee.lastRealServer, core.pointee.hashKey, now: batch.now)
    if evicts { core.pointee.counters.count(.fragmentEvicted) }
  }

  private static func followFirst(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int,
    _ frame: UnsafeMutableRawPointer, _ key: FragmentKey, _ fragment: FragmentFields
  ) -> DropReason? {
    guard fragment.isOfService else { return .unknownProtocol }
    if fragment.hitsTransportHeader { return .tinyFragment }
    guard let realServer = core.pointee.noted(key, now: batch.now) else {
      batch.verdicts[index] = .hold
      return nil
    }
    return follow(core, batch, index, frame, realServer, fragment.ipBytes, .laterFragment)
  }

  /// Sends a frame to a real server without touching any record, or says why not.
  private static func follow(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int,
    _ frame: UnsafeMutableRawPointer, _ realServer: UInt16, _ ipBytes: UInt16,
    _ kind: SideTraffic?
  ) -> DropReason? {
    let status = core.pointee.status(of: realServer)
    guard status.isLive else {
      return status == .unresolved ? .neighborUnresolved : .realServerRemoved
    }
    transmit(core, batch, realServer, frame, index: index, ipBytes: ipBytes)
    if let kind, batch.verdicts[index].isForward { core.pointee.counters.count(kind) }
    return nil
  }
}

/// Looking notes and connections up without touching them.
extension ForwarderCore {
  /// Where the datagram's first fragment went, by this worker's notes or another's.
  private func noted(_ key: FragmentKey, now: Tick) -> UInt16? {
    if let realServer = fragments.find(key, hashKey, now: now) { return realServer }
    for peer in 0..<loads.peerCount {
      let notes = peerTables[peer].fragments
      if let realServer = notes.find(key, hashKey, now: now) { return realServer }
    }
    return nil
  }

  /// nil where no service of one port takes the packet.
  private func key(of fields: IPv4Fields) -> UInt64? {
    let known = content.pointee.ipv4Services.lookUp(
      IPv4ServiceTable.key(
        fields.destination, fields.transport.destinationPort, fields.transport.ipProtocol))
    guard let service = known else { return nil }
    return IPv4ConnectionTable.key(
      client: fields.source, port: fields.transport.sourcePort, service: service)
  }

  /// nil where no service takes the packet.
  private func key(of fields: IPv6Fields) -> IPv6ConnectionKey? {
    let known = content.pointee.ipv6Services.lookUp(
      fields.destinationHigh, fields.destinationLow,
      IPv6ServiceTable.transport(fields.transport.destinationPort, fields.transport.ipProtocol))
    guard let service = known else { return wideKey(of: fields) }
    return IPv6ConnectionKey(
      high: fields.sourceHigh, low: fields.sourceLow, port: fields.transport.sourcePort,
      service: service)
  }

  /// The live record of the connection that a packet belongs to.
  private func record(of fields: IPv4Fields, now: Tick) -> ConnectionMeta? {
    guard let key = key(of: fields) else {
      return record(of: IPv6Fields(mapping: fields), now: now)
    }
    return record(of: key, now: now)
  }

  private func record(of fields: IPv6Fields, now: Tick) -> ConnectionMeta? {
    guard let key = key(of: fields) else { return nil }
    return record(of: key, now: now)
  }

  /// The live record of `key`, in this worker's table or another's.
  private func record(of key: UInt64, now: Tick) -> ConnectionMeta? {
    let hash = hashKey.hash(key)
    if let meta = ipv4.read(key, hash: hash), !meta.isExpired(at: now) { return meta }
    for peer in 0..<loads.peerCount {
      if let meta = peerTables[peer].ipv4.read(key, hash: hash), !meta.isExpired(at: now) {
        return meta
      }
    }
    return nil
  }

  private func record(of key: IPv6ConnectionKey, now: Tick) -> ConnectionMeta? {
    let hash = hashKey.hash(key.high, key.low, key.transport)
    if let meta = ipv6.read(key, hash: hash), !meta.isExpired(at: now) { return meta }
    for peer in 0..<loads.peerCount {
      if let meta = peerTables[peer].ipv6.read(key, hash: hash), !meta.isExpired(at: now) {
        return meta
      }
    }
    return nil
  }
}
