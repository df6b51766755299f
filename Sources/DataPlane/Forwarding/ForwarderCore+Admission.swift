// SPDX-License-Identifier: Apache-2.0

/// Which SYNs a worker lets in that has fallen behind. Packets are about to be lost then at its
/// receive ring, whoever's they are, and a flood of SYNs would take the connections' with it.
///
/// For a second after the worker was last seen behind, a SYN without a record is let in if two
/// packets of connections have earned it, or as one of the few that are free each millisecond. A
/// client that goes on sends more than two after its SYN (an ACK, its request, a FIN), so that
/// among real clients none is dropped; in a flood, those are that find nothing earned.
struct Admission: BitwiseCopyable {
  /// Whether SYNs are counted; may outlast the limit by a batch.
  private(set) var isLimiting = false
  private var until: Tick
  private var lastEarned: Tick
  /// In packets of connections, `packetsPerSYN` for each SYN.
  private var earned = mostEarned

  /// The period of the kernel's defence strategies, `DEFENSE_TIMER_PERIOD` of ip_vs_ctl.c.
  private static let milliseconds: UInt32 = 1000
  private static let packetsPerSYN: Int32 = 2
  /// SYNs that need no packets of connections: 8000 a second, some 2 % of a worker on a veth.
  private static let freePerMillisecond: Int32 = 8
  /// For 256 SYNs at once.
  private static let mostEarned: Int32 = 256 * packetsPerSYN

  init(now: Tick) { (until, lastEarned) = (now, now) }

  /// The worker is behind.
  mutating func limit(now: Tick) {
    if !isLimiting { (isLimiting, lastEarned, earned) = (true, now, Self.mostEarned) }
    until = now.advanced(byMilliseconds: Self.milliseconds)
  }

  /// A batch of `packets` begins.
  mutating func begin(_ packets: Int, now: Tick) {
    let elapsed = min(max(0, now.milliseconds(since: lastEarned)), Self.mostEarned)
    lastEarned = now
    isLimiting = now.milliseconds(since: until) < 0
    let free = elapsed &* Self.freePerMillisecond &* Self.packetsPerSYN
    earned = min(Self.mostEarned, earned &+ free) &+ Int32(truncatingIfNeeded: packets)
  }

  /// So many of them have no record and earn nothing.
  mutating func discount(_ missed: Int) {
    earned = min(Self.mostEarned, earned &- Int32(truncatingIfNeeded: missed))
  }

  /// Whether one more SYN is let in.
  mutating func take() -> Bool {
    guard isLimiting else { return true }
    guard earned >= Self.packetsPerSYN else { return false }
    earned &-= Self.packetsPerSYN
    return true
  }
}

extension ForwarderCore {
  /// Whether the packet, which has no record, is decided further; else it is dropped.
  @inline(never)
  static func admits(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ facts: PacketFacts
  ) -> Bool {
    guard facts.event.isSYN, facts.event.chunk == nil, !core.pointee.admission.take() else {
      return true
    }
    drop(core, batch, Int(facts.index), .overloaded)
    return false
  }
}
