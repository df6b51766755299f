// SPDX-License-Identifier: Apache-2.0

/// What `maglev` bounds a real server's load by (Mirrokni et al., "Consistent hashing with bounded
/// loads", SODA 2018): active connections per weight, over all that take connections.
///
/// Counted anew after as many decisions as there are real servers, so that a decision's cost does
/// not grow with them; in between a worker adds its own choices. All zero is due to be counted.
struct FairShare: BitwiseCopyable {
  var active: UInt64 = 0
  var weight: UInt64 = 0
  private var decisionsLeft: UInt32 = 0

  /// Counts the connection that is to be placed.
  mutating func update(_ decision: Decision) {
    if decisionsLeft == 0 { recount(decision) }
    decisionsLeft &-= 1
    active &+= 1
  }

  @inline(never) private mutating func recount(_ decision: Decision) {
    (active, weight) = (0, 0)
    decisionsLeft = max(1, decision.service.memberCount)
    for position in decision.positions where decision.members[position].takesConnections {
      let member = decision.members[position]
      active &+= ConnectionLoads.active(decision.loads.word(member.realServer))
      weight &+= UInt64(member.weight)
    }
  }

  /// Whether one more keeps a real server within 5/4 of its share, rounded up. A quarter is
  /// the low end of what HAProxy's manual calls reasonable (`hash-balance-factor`): less moves more
  /// clients, more evens out less.
  @inline(__always) func hasRoom(_ memberActive: UInt64, _ memberWeight: UInt32) -> Bool {
    memberActive.multipliedFullWidth(by: weight &* 4)
      < (active &* 5).multipliedFullWidth(by: UInt64(memberWeight))
  }
}

extension Decision {
  /// Slots that one client's hash leads to before the least loaded is taken: with a quarter of
  /// room to spare, more than 32 in a row are full once in a thousand times at worst.
  private static let maglevAttempts: UInt64 = 32

  /// The client's slot, and further ones by hash while their real server takes nothing or is at
  /// its bound, so that the clients of one that is down spread over all others by weight.
  func byBoundedMaglev(_ share: FairShare) -> Int? {
    guard service.heaviestAvailable > 0 else { return nil }
    for attempt in 0..<Self.maglevAttempts {
      let hash = MaglevTable.hash(
        key: SchedulerTable.offsetKey, client.high, client.low,
        attempt &<< 16 | UInt64(client.port))
      let slot = UInt32(truncatingIfNeeded: hash % UInt64(service.slotCount))
      guard let position = accepted(slot) else { continue }
      let member = members[position]
      let active = ConnectionLoads.active(loads.word(member.realServer))
      if share.hasRoom(active, member.weight) { return position }
    }
    return least
  }
}
