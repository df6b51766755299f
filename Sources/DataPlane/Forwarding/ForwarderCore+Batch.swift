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

  /// The frame at `index`, which was found to lie in the frames.
  func frame(_ index: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(
      start: frames + Int(truncatingIfNeeded: descriptors[index].address),
      count: Int(truncatingIfNeeded: descriptors[index].length))
  }
}

/// The hot path: parse and prefetch, then look up and rewrite, then whatever missed, and last the
/// packets that name no ports.
extension ForwarderCore {
  /// Decides every frame of `batch`. Shape and thread: `Forwarder.forward`.
  @inline(__always)
  static func forward(_ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch) {
    var end = parse(core, batch)
    if _slowPath(core.pointee.unservedCount > 0) { end.ipv6 = acceptWide(core, batch, end.ipv6) }
    if end.ipv4 > core.pointee.ipv4Packets { forwardIPv4(core, batch, end.ipv4) }
    if end.ipv6 > core.pointee.ipv6Packets { forwardIPv6(core, batch, end.ipv6) }
    if _slowPath(core.pointee.portlessCount > 0) { forwardPortless(core, batch) }
  }

  /// Pass 2: packets without an entry in their first line wait for pass 3, which needs the other
  /// line of the pair; they take the places of those that are done, in order.
  @inline(__always)
  private static func forwardIPv4(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch,
    _ end: UnsafeMutablePointer<IPv4Packet>
  ) {
    let hits = HitContext(core, batch.now)
    var place = core.pointee.ipv4Packets
    var missed = place
    while place < end {
      let packet = place.pointee
      if let position = IPv4ConnectionTable.find(packet.key, in: packet.line) {
        hits.forward(core, batch, position.meta, packet.frame, packet.facts)
      } else {
        machine_prefetch(IPv4ConnectionTable.neighbour(of: packet.line))
        missed.update(from: place, count: 1)
        missed += 1
      }
      place += 1
    }
    if _slowPath(missed > core.pointee.ipv4Packets) { openIPv4(core, batch, missed) }
  }

  /// As `forwardIPv4`.
  @inline(never)
  private static func forwardIPv6(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch,
    _ end: UnsafeMutablePointer<IPv6Packet>
  ) {
    let hits = HitContext(core, batch.now)
    var place = core.pointee.ipv6Packets
    var missed = place
    while place < end {
      let packet = place.pointee
      if let position = IPv6ConnectionTable.find(packet.key, in: packet.line) {
        hits.forward(core, batch, position.meta, packet.frame, packet.facts)
      } else {
        machine_prefetch(IPv6ConnectionTable.neighbour(of: packet.line))
        missed.update(from: place, count: 1)
        missed += 1
      }
      place += 1
    }
    if _slowPath(missed > core.pointee.ipv6Packets) { openIPv6(core, batch, missed) }
  }

  @inline(__always)
  static func drop(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int,
    _ reason: DropReason
  ) {
    core.pointee.counters.countDrop(reason.rawValue, bytes: batch.descriptors[index].length)
    batch.verdicts[index] = .drop(reason)
  }
}

/// What every hit reads, in locals for a whole batch.
private struct HitContext: BitwiseCopyable {
  let nextHops: UnsafeMutablePointer<NextHop>
  let realServerCount: Int
  let states: StateTable
  let counters: UnsafeMutablePointer<RealServerCounters>
  /// The tick after the present one, in the place of a record's expiry.
  let next: UInt64

  @inline(__always) init(_ core: UnsafeMutablePointer<ForwarderCore>, _ now: Tick) {
    let content = core.pointee.content
    nextHops = content.pointee.nextHops
    realServerCount = content.pointee.realServerCount
    states = content.pointee.states
    counters = core.pointee.realServers
    next = UInt64(now.rawValue &+ 1) &<< 32
  }

  /// A packet with a record: forwarded here while nothing but the idle time changes, out of line
  /// (and in order) when the state changes, the record has expired or its real server is gone.
  @inline(__always)
  func forward(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch,
    _ record: UnsafeMutablePointer<UInt64>, _ frame: UnsafeMutableRawPointer, _ facts: PacketFacts
  ) {
    let meta = ConnectionMeta(rawValue: record.pointee)
    let state = states.row(meta.state)
    let realServer = Int(meta.realServer)
    guard
      _fastPath(state.transition(on: facts.event).staysInLine), _fastPath(meta.lasts(until: next)),
      _fastPath(realServer < realServerCount), _fastPath(nextHops[realServer].status == .live)
    else { return ForwarderCore.settle(core, batch, record, frame, facts) }
    counters[realServer].packets &+= 1
    record.pointee = meta.refreshed(next &+ state.lifetimeFromNext).rawValue
    counters[realServer].bytes &+= UInt64(facts.ipBytes)
    let nextHop = nextHops[realServer]
    nextHop.rewrite(frame)
    batch.verdicts[Int(facts.index)] = .forward(nextHop.egress)
  }
}
