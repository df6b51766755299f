// SPDX-License-Identifier: Apache-2.0
import CMachine

/// The frames of one batch and where their verdicts go.
struct Batch: BitwiseCopyable {
  var descriptors: UnsafePointer<FrameDescriptor>
  var count: Int
  var frames: UnsafeMutableRawPointer
  var frameBytes: UInt64
  var now: Tick
  var verdicts: UnsafeMutablePointer<Verdict>
}

/// The hot path: parse and prefetch, then look up and rewrite, then whatever missed, and last the
/// packets that name no ports.
extension ForwarderCore {
  /// Frames whose headers are asked for ahead of the one that is parsed: 36 to 19 ns where frames
  /// are cold (hot-path.md §2).
  private static let prefetchDistance = 8

  /// Decides every frame of `batch`. Shape and thread: `Forwarder.forward`.
  @inline(__always)
  static func forward(_ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch) {
    let (ipv4Count, ipv6Count) = parse(core, batch)
    if ipv4Count > 0 { forwardIPv4(core, batch, ipv4Count) }
    if ipv6Count > 0 { forwardIPv6(core, batch, ipv6Count) }
    if _slowPath(core.pointee.portlessCount > 0) { forwardPortless(core, batch) }
  }

  /// Pass 1: reads headers, finds services, asks for connection lines.
  @inline(__always)
  private static func parse(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch
  ) -> (ipv4: Int, ipv6: Int) {
    let intake = IPv4Intake(core)
    var (ipv4Count, ipv6Count) = (0, 0)
    for index in 0..<batch.count {
      let descriptor = batch.descriptors[index]
      if index &+ prefetchDistance < batch.count {
        let ahead = batch.descriptors[index &+ prefetchDistance].address
        machine_prefetch(batch.frames + Int(truncatingIfNeeded: ahead))
      }
      let isInside =
        descriptor.address <= batch.frameBytes
        && UInt64(descriptor.length) <= batch.frameBytes &- descriptor.address
      guard _fastPath(isInside) else {
        drop(core, batch, index, .truncated)
        continue
      }
      let frame = batch.frames + Int(truncatingIfNeeded: descriptor.address)
      let bytes = UnsafeRawBufferPointer(
        start: frame, count: Int(truncatingIfNeeded: descriptor.length)
      ).bytes
      guard
        _fastPath(bytes.byteCount >= 34),
        _fastPath(bytes.uint16(at: 12) == EtherType.ipv4.rawValue)
      else {
        parseOther(core, batch, index, bytes, frame, &ipv4Count, &ipv6Count)
        continue
      }
      let offset = PacketParser.ethernetBytes
      if let reason = intake.accept(bytes, at: offset, frame, index, ipv4Count) {
        refuse(core, batch, index, reason)
        continue
      }
      ipv4Count &+= 1
    }
    return (ipv4Count, ipv6Count)
  }

  /// Frames that are not plain Ethernet with IPv4: VLAN tags, IPv6, garbage.
  @inline(never)
  private static func parseOther(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int,
    _ bytes: RawSpan, _ frame: UnsafeMutableRawPointer, _ ipv4Count: inout Int,
    _ ipv6Count: inout Int
  ) {
    guard let (offset, type) = PacketParser.networkHeader(bytes) else {
      return drop(core, batch, index, .truncated)
    }
    let reason: DropReason?
    switch type {
    case .ipv4:
      reason = IPv4Intake(core).accept(bytes, at: offset, frame, index, ipv4Count)
      ipv4Count &+= reason == nil ? 1 : 0
    case .ipv6:
      reason = acceptIPv6(core, bytes, at: offset, frame, index, ipv6Count)
      ipv6Count &+= reason == nil ? 1 : 0
    default:
      reason = .notIP
    }
    if let reason { refuse(core, batch, index, reason) }
  }

  /// Parses one IPv6 packet into scratch place `place`, or says why not.
  @inline(__always)
  private static func acceptIPv6(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ bytes: RawSpan, at offset: Int,
    _ frame: UnsafeMutableRawPointer, _ index: Int, _ place: Int
  ) -> DropReason? {
    let parsed = PacketParser.ipv6(bytes, at: offset)
    guard let fields = parsed.fields else { return parsed.reason }
    let service = core.pointee.content.pointee.ipv6Services.lookUp(
      fields.destinationHigh, fields.destinationLow,
      IPv6ServiceTable.transport(fields.transport.destinationPort, fields.transport.ipProtocol))
    guard _fastPath(service != 0) else { return .noService }
    let key = IPv6ConnectionKey(
      high: fields.sourceHigh, low: fields.sourceLow, port: fields.transport.sourcePort,
      service: service)
    let line = core.pointee.ipv6.line(core.pointee.hashKey.hash(key.high, key.low, key.transport))
    machine_prefetch(line)
    core.pointee.ipv6Packets[place] = IPv6Packet(
      key: key, line: line, frame: frame,
      facts: PacketFacts(fields.transport, service: service, index: index))
    return nil
  }

  /// Pass 2: packets without an entry in their first line wait for pass 3, which needs the other
  /// line of the pair.
  @inline(__always)
  private static func forwardIPv4(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ count: Int
  ) {
    let hits = HitContext(core)
    let (packets, misses) = (core.pointee.ipv4Packets, core.pointee.misses)
    var missCount = 0
    for place in 0..<count {
      let packet = packets[place]
      if let position = IPv4ConnectionTable.find(packet.key, in: packet.line) {
        hits.forward(core, batch, position.meta, packet.frame, packet.facts)
      } else {
        machine_prefetch(IPv4ConnectionTable.neighbour(of: packet.line))
        misses[missCount] = UInt8(truncatingIfNeeded: place)
        missCount &+= 1
      }
    }
    if _slowPath(missCount > 0) { openIPv4(core, batch, missCount) }
  }

  /// As `forwardIPv4`.
  @inline(never)
  private static func forwardIPv6(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ count: Int
  ) {
    let hits = HitContext(core)
    let (packets, misses) = (core.pointee.ipv6Packets, core.pointee.misses)
    var missCount = 0
    for place in 0..<count {
      let packet = packets[place]
      if let position = IPv6ConnectionTable.find(packet.key, in: packet.line) {
        hits.forward(core, batch, position.meta, packet.frame, packet.facts)
      } else {
        machine_prefetch(IPv6ConnectionTable.neighbour(of: packet.line))
        misses[missCount] = UInt8(truncatingIfNeeded: place)
        missCount &+= 1
      }
    }
    if _slowPath(missCount > 0) { openIPv6(core, batch, missCount) }
  }

  @inline(__always)
  static func drop(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int,
    _ reason: DropReason
  ) {
    core.pointee.counters.countDrop(reason.rawValue)
    batch.verdicts[index] = .drop(reason)
  }
}

/// What the parsing of every IPv4 packet reads, in locals for a whole batch.
private struct IPv4Intake: BitwiseCopyable {
  let services: IPv4ServiceTable
  let table: IPv4ConnectionTable
  let hashKey: HashKey
  let packets: UnsafeMutablePointer<IPv4Packet>

  @inline(__always) init(_ core: UnsafeMutablePointer<ForwarderCore>) {
    services = core.pointee.content.pointee.ipv4Services
    table = core.pointee.ipv4
    hashKey = core.pointee.hashKey
    packets = core.pointee.ipv4Packets
  }

  /// Parses one packet into scratch place `place`, or says why not.
  @inline(__always)
  func accept(
    _ bytes: RawSpan, at offset: Int, _ frame: UnsafeMutableRawPointer, _ index: Int, _ place: Int
  ) -> DropReason? {
    let parsed = PacketParser.ipv4(bytes, at: offset)
    guard let fields = parsed.fields else { return parsed.reason }
    let service = services.lookUp(
      IPv4ServiceTable.key(
        fields.destination, fields.transport.destinationPort, fields.transport.ipProtocol))
    guard _fastPath(service != 0) else { return .noService }
    let key = IPv4ConnectionTable.key(
      client: fields.source, port: fields.transport.sourcePort, service: service)
    let line = table.line(hashKey.hash(key))
    machine_prefetch(line)
    packets[place] = IPv4Packet(
      key: key, line: line, frame: frame,
      facts: PacketFacts(fields.transport, service: service, index: index))
    return nil
  }
}

/// What every hit reads, in locals for a whole batch.
private struct HitContext: BitwiseCopyable {
  let nextHops: UnsafeMutablePointer<NextHop>
  let realServerCount: Int
  let timeouts: UnsafeMutablePointer<UInt32>
  let transitions: UnsafeMutableRawPointer
  let counters: UnsafeMutablePointer<RealServerCounters>

  @inline(__always) init(_ core: UnsafeMutablePointer<ForwarderCore>) {
    let content = core.pointee.content
    nextHops = content.pointee.nextHops
    realServerCount = content.pointee.realServerCount
    timeouts = content.pointee.timeouts
    transitions = content.pointee.transitions
    counters = core.pointee.realServers
  }

  /// A packet with a record: forwarded here while nothing but the idle time changes, out of line
  /// (and in order) when the state changes, the record has expired or its real server is gone.
  @inline(__always)
  func forward(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch,
    _ record: UnsafeMutablePointer<UInt64>, _ frame: UnsafeMutableRawPointer, _ facts: PacketFacts
  ) {
    let meta = ConnectionMeta(rawValue: record.pointee)
    let transition = StateTransition(
      rawValue: transitions.load(
        fromByteOffset: StateTransition.offset(event: facts.event.rawValue, state: meta.state),
        as: UInt8.self))
    let realServer = Int(meta.realServer)
    guard
      _fastPath(transition.staysInLine), _fastPath(!meta.isExpired(at: batch.now)),
      _fastPath(realServer < realServerCount), _fastPath(nextHops[realServer].status == .live)
    else { return ForwarderCore.settle(core, batch, record, frame, facts) }
    let idle = timeouts[Int(meta.state & 0xf)]
    record.pointee = meta.refreshed(until: batch.now.advanced(byMilliseconds: idle)).rawValue
    counters[realServer].packets &+= 1
    counters[realServer].bytes &+= UInt64(facts.ipBytes)
    let nextHop = nextHops[realServer]
    nextHop.rewrite(frame)
    batch.verdicts[Int(facts.index)] = .forward(nextHop.egress)
  }
}
