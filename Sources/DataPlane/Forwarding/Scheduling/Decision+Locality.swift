// SPDX-License-Identifier: Apache-2.0

/// The schedulers that keep a destination where it was: caches behind one address each do best if
/// they see the same content again.
extension Decision {
  /// `ip_vs_lblc_schedule`: the destination's real server, which weight and neighbour must allow
  /// but not thresholds, until it is crowded.
  func byLocality() -> Int? {
    if let known = localities.use(index, now: now), let position = position(of: known),
      members[position].takesConnections, !isCrowded(position)
    {
      return position
    }
    guard let position = least(.overhead) else { return nil }
    localities.enter(members[position].realServer, for: index, now: now)
    return position
  }

  /// `ip_vs_lblcr_schedule`: the least loaded of the destination's set, to which another is added
  /// when that one is crowded. A set that has not changed for a day loses its most loaded one.
  func byReplicatedLocality() -> Int? {
    if localities.use(index, now: now) != nil {
      let set = locality()
      if set.size > 1, set.most >= 0, localities.isSettled(index, now: now) {
        localities.leave(members[set.most].realServer, of: index, now: now)
      }
      if set.least >= 0, !isCrowded(set.least) { return set.least }
    } else {
      for position in positions { localities.leave(members[position].realServer) }
    }
    guard let position = least(.overhead) else { return nil }
    let realServer = members[position].realServer
    localities.join(realServer, of: index, now: now)
    localities.enter(realServer, for: index, now: now)
    return position
  }

  private func position(of realServer: UInt16) -> Int? {
    guard Int(realServer) < content.pointee.realServerCount else { return nil }
    let position = Int(content.pointee.placements[Int(realServer)].position)
    return position < positions.upperBound && members[position].realServer == realServer
      ? position : nil
  }

  /// `is_overloaded`: more active connections than weight, while another one has fewer than half
  /// of its.
  private func isCrowded(_ position: Int) -> Bool {
    guard active(position) > UInt64(members[position].weight) else { return false }
    for other in positions where members[other].takesConnections {
      if active(other) &* 2 < UInt64(members[other].weight) { return true }
    }
    return false
  }

  private func active(_ position: Int) -> UInt64 {
    ConnectionLoads.active(loads.word(members[position].realServer))
  }

  /// A set, its least and its most loaded member, below zero where there is none.
  private struct Locality {
    var size = 0
    var least = -1
    var most = -1
  }

  /// `ip_vs_dest_set_min`, `ip_vs_dest_set_max`: of equals the one that joined last.
  private func locality() -> Locality {
    var set = Locality()
    for position in positions {
      let joined = localities.joined(members[position].realServer)
      guard _slowPath(joined != 0) else { continue }
      set.size &+= 1
      guard members[position].weight > 0 else { continue }
      if set.most < 0 || exceeds(position, set.most, isLater: isLater(position, set.most)) {
        set.most = position
      }
      guard accepts(position) else { continue }
      if set.least < 0 || exceeds(set.least, position, isLater: isLater(position, set.least)) {
        set.least = position
      }
    }
    return set
  }

  private func isLater(_ left: Int, _ right: Int) -> Bool {
    localities.joined(members[left].realServer) > localities.joined(members[right].realServer)
  }

  /// Whether `left` has more overhead for its weight than `right`, or as much and `isLater`.
  private func exceeds(_ left: Int, _ right: Int, isLater: Bool) -> Bool {
    let (more, less) = (
      overhead(left) &* UInt64(members[right].weight),
      overhead(right) &* UInt64(members[left].weight)
    )
    return more > less || more == less && isLater
  }
}
