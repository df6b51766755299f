// SPDX-License-Identifier: Apache-2.0

/// Where one worker stands in one service's list of real servers.
///
/// Each worker has its own: with several queues, each queue goes round by itself.
struct SchedulerCursor: BitwiseCopyable {
  /// Position of the last choice counted from 1; 0 stands for the head of the list.
  var place: UInt32
  /// `mark->cw` of ip_vs_wrr.c.
  var currentWeight: UInt32
  /// Decisions of `twos` so far.
  var draws: UInt32 = 0
  /// The last change of the set of `lblcr` that this worker's standings know.
  var setChange: UInt64 = 0
  /// What `maglev` holds a real server's connections against.
  var fairShare = FairShare()

  /// The position of the next real server, or nil if none takes connections.
  mutating func schedule(_ decision: Decision) -> Int? {
    let needsTable: Bool
    switch decision.service.scheduler {
    case .sh, .dh, .mh, .maglev: needsTable = true
    default: needsTable = false
    }
    if needsTable, decision.service.slotCount == 0 { return nil }
    switch decision.service.scheduler {
    case .rr: return roundRobin(decision)
    case .wrr: return weightedRoundRobin(decision)
    case .lc, .wlc, .sed, .nq, .fo, .ovf: return decision.least
    case .lblc: return decision.byLocality()
    case .lblcr: return decision.byReplicatedLocality(seen: &setChange)
    case .dh: return decision.byDestination()
    case .sh: return decision.bySource()
    case .mh: return decision.byMaglev()
    case .twos:
      draws &+= 1
      return decision.lesserOfTwo(draw: draws)
    case .maglev:
      fairShare.update(decision)
      return decision.byBoundedMaglev(fairShare)
    }
  }

  /// The choice of `rr` where nothing has to be looked for: the next real server in the list, or
  /// the first one after the last, takes connections. nil, and nothing has changed, where it does
  /// not, and of other schedulers.
  ///
  /// - Parameter service: one without thresholds.
  @inline(__always)
  mutating func nextInTurn(
    _ service: UnsafeMutablePointer<ServiceRecord>, _ members: UnsafeMutablePointer<Member>
  ) -> UInt16? {
    guard service.pointee.scheduler == .rr, service.pointee.memberCount > 0 else { return nil }
    let position = place < service.pointee.memberCount ? place : 0
    let member = members[Int(service.pointee.firstMember &+ position)]
    guard _fastPath(member.takesConnections) else { return nil }
    place = position &+ 1
    return member.realServer
  }

  /// `ip_vs_rr_schedule`: the next one after the last choice that takes connections.
  private mutating func roundRobin(_ decision: Decision) -> Int? {
    guard
      let position = decision.next(from: Int(place), weighing: 1)
        ?? decision.next(from: 0, weighing: 1)
    else { return nil }
    place = UInt32(truncatingIfNeeded: position) &+ 1
    return position
  }

  /// `ip_vs_wrr_schedule`: interleaved, from the greatest weight down in steps of the greatest
  /// common divisor.
  ///
  /// The kernel walks the list once per step even where every server that heavy is unavailable;
  /// here those steps are taken at once, which chooses the same and bounds a decision to two
  /// walks.
  private mutating func weightedRoundRobin(_ decision: Decision) -> Int? {
    let service = decision.service
    let heaviest = decision.heaviest
    guard heaviest > 0 else { return nil }
    while true {
      if let position = decision.next(from: Int(place), weighing: currentWeight) {
        place = UInt32(truncatingIfNeeded: position) &+ 1
        return position
      }
      place = 0
      let step = service.weightStep
      currentWeight = currentWeight > step ? currentWeight &- step : service.firstWeight
      // Every threshold of a round is 1 more than a multiple of the step.
      if currentWeight > heaviest { currentWeight = (heaviest &- 1) / step &* step &+ 1 }
    }
  }

  /// What LVS does to its mark when a service's list changes: `ip_vs_rr_del_dest`,
  /// `ip_vs_wrr_dest_changed`.
  ///
  /// - Parameters:
  ///   - old: the service as this worker knew it, nil if it did not.
  mutating func follow(
    from old: ServiceRecord?, in oldContent: SnapshotContent, to service: ServiceRecord,
    in content: SnapshotContent
  ) {
    guard let old, old.scheduler == service.scheduler else {
      self = SchedulerCursor(place: 0, currentWeight: service.firstWeight)
      if old == nil, service.scheduler == .wrr {
        currentWeight = Self.opening(service, in: content)
      }
      return
    }
    switch service.scheduler {
    case .wrr:
      place = 0
      currentWeight = Self.weight(
        currentWeight, first: service.firstWeight, step: service.weightStep)
    default:
      fairShare = FairShare()
      place = Self.survivor(of: place, old, oldContent, service, content)
    }
  }

  private static func weight(_ current: UInt32, first: UInt32, step: UInt32) -> UInt32 {
    if current > first || current == 0 { return first }
    return step > 1 ? current / step * step + 1 : current
  }

  /// The current weight of a new service whose real servers were added one after the other: the
  /// last one stands first in the list.
  private static func opening(_ service: ServiceRecord, in content: SnapshotContent) -> UInt32 {
    let members = content.members + Int(service.firstMember)
    var (current, heaviest, divisor): (UInt32, UInt32, UInt32) = (0, 0, 0)
    for position in (0..<Int(service.memberCount)).reversed() {
      heaviest = max(heaviest, members[position].weight)
      divisor = greatestCommonDivisor(divisor, members[position].weight)
      let step = max(1, divisor)
      current = weight(current, first: heaviest == 0 ? 0 : heaviest - (step - 1), step: step)
    }
    return current
  }

  /// The place in the new list of the last choice, or of the nearest one before it in the old list
  /// that is still there, or the head.
  private static func survivor(
    of place: UInt32, _ old: ServiceRecord, _ oldContent: SnapshotContent,
    _ service: ServiceRecord, _ content: SnapshotContent
  ) -> UInt32 {
    let oldMembers = oldContent.members + Int(old.firstMember)
    let members = content.members + Int(service.firstMember)
    var place = min(place, old.memberCount)
    while place > 0 {
      let realServer = oldMembers[Int(place) - 1].realServer
      if Int(realServer) < content.realServerCount {
        let position = content.placements[Int(realServer)].position
        if position < service.memberCount, members[Int(position)].realServer == realServer {
          return position + 1
        }
      }
      place -= 1
    }
    return 0
  }
}
