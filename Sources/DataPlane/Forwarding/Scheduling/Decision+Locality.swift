// SPDX-License-Identifier: Apache-2.0

/// The schedulers that keep a destination where it was: caches behind one address each do best if
/// they see the same content again.
extension Decision {
  /// `ip_vs_lblc_schedule`: the destination's real server, which weight and neighbour must allow
  /// but not thresholds, until it is crowded.
  func byLocality() -> Int? {
    if let known = localities.use(index, now: now), let position = position(of: known),
      members[position].takesConnections, !(isFull(position) && standing.hasRoom)
    {
      return position
    }
    guard let position = least else { return nil }
    localities.enter(members[position].realServer, for: index, now: now)
    return position
  }

  /// `ip_vs_lblcr_schedule`: the least loaded of the destination's set, to which another is added
  /// when that one is crowded. A set that has not changed for a day loses its most loaded one.
  ///
  /// - Parameter seen: the set's last change that the standings know.
  func byReplicatedLocality(seen: inout UInt64) -> Int? {
    let change = localities.change(of: index)
    if change != seen {
      forgetStandings()
      seen = change
    }
    let standing = standing
    let (least, most) = (Int(standing.setLeast), Int(standing.setMost))
    if localities.use(index, now: now) != nil {
      if standing.setCount > 1, standing.setMost != Standing.nowhere,
        localities.isSettled(index, now: now)
      {
        let change = localities.leave(members[most].realServer, of: index, now: now)
        follow(change, at: most, seen: &seen)
      }
      if standing.setLeast != Standing.nowhere, !(isFull(least) && standing.hasRoom) {
        return least
      }
    } else if standing.setCount > 0 {
      for position in positions { localities.leave(members[position].realServer) }
      forgetStandings()
    }
    guard standing.weight > 0 else { return nil }
    let position = Int(standing.position)
    let realServer = members[position].realServer
    if let change = localities.join(realServer, of: index, now: now) {
      follow(change, at: position, seen: &seen)
    }
    localities.enter(realServer, for: index, now: now)
    return position
  }

  /// This decision's own change of the set is known, unless another worker's came before it.
  private func follow(_ change: LocalityTable.Change, at position: Int, seen: inout UInt64) {
    guard change.old == seen else { return }
    note(position)
    seen = change.new
  }

  private func position(of realServer: UInt16) -> Int? {
    guard Int(realServer) < content.pointee.realServerCount else { return nil }
    let position = Int(content.pointee.placements[Int(realServer)].position)
    return position < positions.upperBound && members[position].realServer == realServer
      ? position : nil
  }

  /// `is_overloaded`, which is crowded: more active connections than weight, and elsewhere room.
  private func isFull(_ position: Int) -> Bool {
    let member = members[position]
    return ConnectionLoads.active(loads.word(member.realServer)) > UInt64(member.weight)
  }

  /// `ip_vs_dest_set_min`, `ip_vs_dest_set_max`: of equals the one that joined last.
  @inline(never) func admitSet(_ later: Standing, to standing: inout Standing) {
    standing.setCount = min(2, standing.setCount &+ later.setCount)
    let (least, most) = (later.setLeast, later.setMost)
    if most != Standing.nowhere,
      standing.setMost == Standing.nowhere
        || exceeds(most, standing.setMost, isLater: isLater(most, standing.setMost))
    {
      standing.setMost = most
    }
    if least != Standing.nowhere,
      standing.setLeast == Standing.nowhere
        || exceeds(standing.setLeast, least, isLater: isLater(least, standing.setLeast))
    {
      standing.setLeast = least
    }
  }

  private func isLater(_ left: UInt16, _ right: UInt16) -> Bool {
    localities.joined(members[Int(left)].realServer)
      > localities.joined(members[Int(right)].realServer)
  }

  /// Whether `left` has more overhead for its weight than `right`, or as much and `isLater`.
  private func exceeds(_ left: UInt16, _ right: UInt16, isLater: Bool) -> Bool {
    let (left, right) = (Int(left), Int(right))
    return exceeds(left, right) || isLater && !exceeds(right, left)
  }
}
