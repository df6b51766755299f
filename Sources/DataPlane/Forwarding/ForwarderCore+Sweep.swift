// SPDX-License-Identifier: Apache-2.0

/// How far the incremental expiry has come: IPv4 lines first, then IPv6 lines, then, by one worker,
/// buckets of templates, then anew.
struct SweepPosition: BitwiseCopyable {
  var line = 0
  /// When lines were last looked at, and when the next ones are due.
  private var last: Tick
  private(set) var next: Tick
  /// Rounds that are over, modulo 2³².
  var round: UInt32 = 0
  /// What has passed of the next line's time, in milliseconds times lines: a round's at most.
  private var begun: UInt32 = 0
  /// The generation in use when this round began.
  var generation: UInt64 = 0

  init(from now: Tick) { (last, next) = (now, now) }

  /// How many of `lines` are due; the next ones are as soon as one is. A worker that falls behind
  /// the clock does not catch up.
  mutating func due(of lines: Int, at now: Tick) -> Int {
    let round = ForwarderCore.sweepMilliseconds
    let elapsed = Int(max(0, now.milliseconds(since: last)))
    let (whole, rest) = (lines * elapsed + Int(begun)).quotientAndRemainder(dividingBy: round)
    (last, begun) = (now, UInt32(rest))
    next = now.advanced(byMilliseconds: UInt32((round - rest + lines - 1) / lines))
    return min(whole, ForwarderCore.sweepLinesPerTurn, lines)
  }
}

extension ForwarderCore {
  /// A whole round takes this long: an expired record is gone, and no longer counted, at most so
  /// much later. At 1 M entries that is 65 lines per millisecond of traffic, about 0.1 % of a core.
  static let sweepMilliseconds = 4000
  /// Bounds the pause of one turn: about 40 µs.
  static let sweepLinesPerTurn = 4096
  /// What lives is seen to by one round of so many, every 16 s: a template that is kept by it takes
  /// a cold line for each record of a persistent service.
  private static let roundsPerKeeping: UInt32 = 4

  /// Frees expired records, and records of retired real servers and, by policy, of others gone, in
  /// the lines that are due; at most once per millisecond.
  @inline(__always) mutating func sweep(now: Tick) {
    if _slowPath(now.milliseconds(since: sweep.next) >= 0) { sweep = swept(to: now) }
  }

  @inline(never) private func swept(to now: Tick) -> SweepPosition {
    var position = sweep
    let ends = (ipv4: ipv4.lineCount, ipv6: ipv4.lineCount + ipv6.lineCount)
    let lines = ends.ipv6 + (sweepsTemplates ? templates.bucketCount : 0)
    let due = position.due(of: lines, at: now)
    guard due > 0 else { return position }
    counters.add(1, to: .sweepSteps)
    let keeps = position.round % Self.roundsPerKeeping == 0
    for _ in 0..<due {
      if position.line < ends.ipv4 {
        sweepIPv4(ipv4.line(at: position.line), now, keeps: keeps)
      } else if position.line < ends.ipv6 {
        sweepIPv6(ipv6.line(at: position.line - ends.ipv4), now, keeps: keeps)
      } else {
        sweepTemplates(bucket: position.line - ends.ipv6, now: now)
      }
      position.line += 1
      if position.line == lines {
        sweepFragments(now)
        counters.store(position.generation, to: .sweptGeneration)
        position.line = 0
        position.round &+= 1
        position.generation = content.pointee.generation
      }
    }
    return position
  }

  private func sweepIPv4(_ line: UnsafeMutableRawPointer, _ now: Tick, keeps: Bool) {
    let keys = line.assumingMemoryBound(to: UInt64.self)
    for slot in 0..<IPv4ConnectionTable.entriesPerLine {
      let position = IPv4ConnectionTable.Position(key: keys + slot)
      let key = position.key.pointee
      guard key != 0 else { continue }
      if isOver(position.meta.pointee, UInt16(truncatingIfNeeded: key), now) {
        vacate(position.key, position.meta, .ipv4Connections)
      } else if keeps {
        let meta = keepBirth(position.meta, now)
        keepTemplate(
          UInt16(truncatingIfNeeded: key), Client(ipv4: key), meta.realServer, now: now)
      }
    }
  }

  private func sweepIPv6(_ line: UnsafeMutableRawPointer, _ now: Tick, keeps: Bool) {
    let words = line.assumingMemoryBound(to: UInt64.self)
    for slot in 0..<IPv6ConnectionTable.entriesPerLine {
      let position = IPv6ConnectionTable.Position(words: words + slot * 4)
      let transport = position.transport.pointee
      guard transport != 0 else { continue }
      if isOver(position.meta.pointee, UInt16(truncatingIfNeeded: transport), now) {
        vacate(position.transport, position.meta, .ipv6Connections)
      } else if keeps {
        let meta = keepBirth(position.meta, now)
        keepTemplate(
          UInt16(truncatingIfNeeded: transport), Client(record: position.meta, isInIPv6Table: true),
          meta.realServer, now: now)
      }
    }
  }

  /// Before what the record says of its birth could be taken for a later one.
  private func keepBirth(_ record: UnsafeMutablePointer<UInt64>, _ now: Tick) -> ConnectionMeta {
    var meta = ConnectionMeta(rawValue: record.pointee)
    if let birth = meta.birth.renewed(at: now) {
      meta.birth = birth
      record.pointee = meta.rawValue
    }
    return meta
  }

  /// An index is given out again when the round is over: no note may name it then.
  private func sweepFragments(_ now: Tick) {
    for place in 0..<FragmentTable.noteCount {
      let note = fragments.notes + place
      let meta = note.pointee.meta
      if meta.isExpired(at: now) || status(of: meta.realServer) == .retired {
        note.pointee.key.datagram = 0
      }
    }
  }

  private func isOver(_ record: UInt64, _ service: UInt16, _ now: Tick) -> Bool {
    let meta = ConnectionMeta(rawValue: record)
    if meta.isExpired(at: now) { return true }
    let status = status(of: meta.realServer)
    if _fastPath(status != .removed) { return status == .retired || status == .purged }
    return Int(service) < content.pointee.serviceCount
      && content.pointee.services[Int(service)].policy.removal == .purge
  }
}
