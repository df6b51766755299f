// SPDX-License-Identifier: Apache-2.0

/// What a stretch of a service's list comes to under its scheduler's rule: the best real server in
/// it, and what else a decision asks of all of them. That of two stretches is made of theirs alone,
/// the earlier one first.
struct Standing: BitwiseCopyable {
  /// Stands where there is no position.
  static let nowhere = UInt16.max

  /// Of the best one: its cost, and what that counts against (`exceeds`). Nobody, of weight 0,
  /// loses against everyone.
  var cost: UInt64 = 1
  /// The sum of the weights of those that accept connections.
  var acceptingWeight: UInt64 = 0
  var weight: UInt32 = 0
  /// The first one with the least cost for its weight.
  var position = nowhere
  /// Of the set that `lblcr` keeps: the least and the most loaded one.
  var setLeast = nowhere
  var setMost = nowhere
  /// How many are of that set; 2 stands for more, too.
  var setCount: UInt8 = 0
  /// Whether one has fewer active connections than half of its weight.
  var hasRoom = false

  /// Puts the best of a later stretch against this one's.
  @inline(__always) mutating func admit(_ later: Standing) {
    if _slowPath(Self.exceeds(cost, of: weight, later.cost, of: later.weight)) {
      (cost, weight, position) = (later.cost, later.weight, later.position)
    }
    acceptingWeight &+= later.acceptingWeight
    hasRoom = hasRoom || later.hasRoom
  }

  /// Whether the left cost is more for its weight than the right one: h₁/w₁ > h₂/w₂ where
  /// h₁w₂ > h₂w₁.
  ///
  /// The products are whole: costs go up to 2⁴⁰ (256 for each of 2³² - 1 connections), weights to
  /// 2³¹ - 1. The kernel's costs are of type int and wrap at 2²³ active connections.
  @inline(__always) static func exceeds(
    _ left: UInt64, of leftWeight: UInt32, _ right: UInt64, of rightWeight: UInt32
  ) -> Bool {
    left.multipliedFullWidth(by: UInt64(rightWeight))
      > right.multipliedFullWidth(by: UInt64(leftWeight))
  }
}

extension Decision {
  /// Of the whole list.
  var standing: Standing {
    service.firstNode == 0 ? standing(of: positions) : standingByTree()
  }

  /// The first one with the least cost for its weight by the service's scheduler.
  var least: Int? {
    let standing = standing
    return standing.weight == 0 ? nil : Int(standing.position)
  }

  /// The greatest weight among those that accept. For `wrr`, whose best one is the heaviest.
  var heaviest: UInt32 {
    service.isLimited ? standing.weight : service.heaviestAvailable
  }

  /// The first position from `start` on whose real server accepts and weighs so much, at least 1.
  /// For `rr` and `wrr`, whose best one is the heaviest.
  func next(from start: Int, weighing weight: UInt32) -> Int? {
    let count = positions.upperBound
    var start = start
    while start < count {
      let end = service.firstNode == 0 ? count : min(count, (start | 63) &+ 1)
      for position in start..<end where members[position].weight >= weight && accepts(position) {
        return position
      }
      guard end < count, let leaf = leaf(from: end, weighing: weight) else { return nil }
      start = leaf
    }
    return nil
  }

  /// Reads each real server of the stretch.
  @inline(never) func standing(of stretch: Range<Int>) -> Standing {
    var standing = Standing()
    for position in stretch { admit(self.standing(of: position), to: &standing) }
    return standing
  }

  @inline(__always) func admit(_ later: Standing, to standing: inout Standing) {
    standing.admit(later)
    if _slowPath(later.setCount > 0) { admitSet(later, to: &standing) }
  }

  @inline(__always) private func standing(of position: Int) -> Standing {
    var standing = Standing()
    let member = members[position]
    let place = UInt16(truncatingIfNeeded: position)
    let isOfSet = service.scheduler == .lblcr && localities.joined(member.realServer) != 0
    if isOfSet {
      standing.setCount = 1
      if member.weight > 0 { standing.setMost = place }
    }
    guard _fastPath(member.takesConnections) else { return standing }
    let word = loads.word(member.realServer)
    let (active, weight) = (ConnectionLoads.active(word), UInt64(member.weight))
    standing.hasRoom = active &* 2 < weight
    guard accepts(position) else { return standing }
    if isOfSet { standing.setLeast = place }
    standing.acceptingWeight = weight
    if service.scheduler == .ovf, active > weight { return standing }
    standing.position = place
    standing.cost = cost(word)
    standing.weight = service.scheduler == .lc ? 1 : member.weight
    return standing
  }

  /// What the connections of one real server cost by the service's scheduler.
  @inline(__always) private func cost(_ word: UInt64) -> UInt64 {
    let active = ConnectionLoads.active(word)
    switch service.scheduler {
    // Active ones and the one to come: `ip_vs_sed_dest_overhead`.
    case .sed, .maglev: return active &+ 1
    // The first idle one costs nothing: `ip_vs_nq_schedule`.
    case .nq: return active == 0 ? 0 : active &+ 1
    // The first of the heaviest: `ip_vs_fo_schedule`, `ip_vs_ovf_schedule`.
    case .fo, .ovf, .rr, .wrr: return 1
    default: return Self.overhead(word)
    }
  }

  /// `ip_vs_dest_conn_overhead`: 256 per active connection, 1 per inactive one.
  @inline(__always) private static func overhead(_ word: UInt64) -> UInt64 {
    ConnectionLoads.active(word) &<< 8 &+ ConnectionLoads.inactive(word)
  }

  /// Whether the real server at `left` has more overhead for its weight than that at `right`.
  func exceeds(_ left: Int, _ right: Int) -> Bool {
    func overhead(_ position: Int) -> UInt64 {
      Self.overhead(loads.word(members[position].realServer))
    }
    return Standing.exceeds(
      overhead(left), of: members[left].weight, overhead(right), of: members[right].weight)
  }
}
