// SPDX-License-Identifier: Apache-2.0

/// Which SYNs come to a worker that has fallen behind on one queue. Packets are about to be lost
/// then at its receive ring, whoever's they are, and a flood of SYNs would take the connections'
/// with it. The eBPF program drops them before they cost the worker anything.
///
/// Each connection that becomes established pays for two SYNs, and a few are free each millisecond.
/// So clients that go on make room for themselves and for as many more; a flood's do not, and
/// transfers beside it pay for none of its SYNs. The limit ends with the first second in which none
/// was dropped. After any other one twice as many are free, until that is as good as no limit or
/// the worker is behind again: a client that tries again (RFC 6298: after 1 s, 3 s, 7 s) comes in
/// where the worker can bear it.
struct Admission: BitwiseCopyable {
  /// Whether the program limits SYNs.
  private(set) var isLimiting = false
  private let cell: AdmissionCell
  private var periodEnd = Tick(rawValue: 0)
  private var lastGrant = Tick(rawValue: 0)
  private var freePerMillisecond: UInt64 = 0
  /// Connections that had been established at the last grant.
  private var established: UInt64 = 0
  /// What the program had dropped when the period began, and when it was last asked.
  private var droppedBefore: UInt64 = 0
  private var reported = Dropped(packets: 0, octets: 0)

  /// What the program has dropped.
  struct Dropped: BitwiseCopyable {
    var packets: UInt64
    var octets: UInt64
  }

  /// The period of the kernel's defence strategies, `DEFENSE_TIMER_PERIOD` of ip_vs_ctl.c.
  private static let periodMilliseconds: UInt32 = 1000
  private static let synsPerConnection: UInt64 = 2
  /// SYNs that nobody pays for: 8000 a second, some 2 % of a worker on a veth.
  private static let leastFree: UInt64 = 8
  /// A million a second, more than a worker on a veth can take.
  private static let mostFree: UInt64 = 1024
  /// SYNs at once.
  private static let mostLeave: UInt64 = 256

  init(_ cell: AdmissionCell) { self.cell = cell }

  /// The worker is behind.
  ///
  /// - Parameter established: connections of the worker that became so, ever.
  mutating func limit(established: UInt64, now: Tick) {
    if !isLimiting {
      (isLimiting, lastGrant, self.established) = (true, now, established)
      cell.grant(Self.mostLeave, atMost: Self.mostLeave)
    }
    beginPeriod(free: Self.leastFree, now)
  }

  /// Gives leave for as many SYNs as have been paid for; returns what the program has dropped since
  /// the last time.
  ///
  /// - Parameter established: as for `limit`.
  mutating func grant(established: UInt64, now: Tick) -> Dropped {
    let elapsed = UInt64(max(0, now.milliseconds(since: lastGrant)))
    let paid = (established &- self.established) &* Self.synsPerConnection
    (lastGrant, self.established) = (now, established)
    cell.grant(paid &+ elapsed &* freePerMillisecond, atMost: Self.mostLeave)
    let dropped = Dropped(packets: cell.dropped, octets: cell.octets)
    if now.milliseconds(since: periodEnd) >= 0 { endPeriod(dropped.packets, now) }
    defer { reported = dropped }
    return Dropped(
      packets: dropped.packets &- reported.packets, octets: dropped.octets &- reported.octets)
  }

  private mutating func endPeriod(_ dropped: UInt64, _ now: Tick) {
    if dropped == droppedBefore || freePerMillisecond >= Self.mostFree {
      isLimiting = false
      cell.lift()
    } else {
      beginPeriod(free: freePerMillisecond &* 2, now)
    }
  }

  private mutating func beginPeriod(free: UInt64, _ now: Tick) {
    (freePerMillisecond, droppedBefore) = (free, cell.dropped)
    periodEnd = now.advanced(byMilliseconds: Self.periodMilliseconds)
    cell.limit(until: periodEnd.advanced(byMilliseconds: Self.periodMilliseconds))
  }
}
