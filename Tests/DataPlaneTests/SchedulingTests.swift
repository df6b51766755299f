// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// rr and wrr on new connections; lists are given in LVS order.
@Suite struct SchedulingTests {
  private func site(
    _ scheduler: Scheduler, _ realServers: [SnapshotSpecification.RealServer], revision: UInt32 = 1
  ) -> SnapshotSpecification {
    var specification = SnapshotSpecification.site(scheduler: scheduler)
    specification.services = [specification.services[0]]
    specification.services[0].realServers = realServers
    specification.services[0].revision = revision
    return specification
  }

  /// Opens `count` connections; the number of each one's real server, 0 where there was none.
  private func open(_ desk: ForwarderDesk, _ count: Int, from first: UInt16 = 1024) -> [UInt8] {
    (0..<count).map { number in
      let result = desk.forward(
        PacketBuilder(from: "10.0.0.1", to: "192.168.1.149").with {
          $0.sourcePort = Port(first + UInt16(number))
        })
      return result.verdict.isForward ? result.frame[5] : 0
    }
  }

  /// The worked example of the LVS documentation: weights 4, 3, 2 give AABABCABC. The first round
  /// is what `ip_vs_wrr_dest_changed` leaves of it when they are added one after the other.
  @Test func weightedRoundRobinInterleaves() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(
      site(.wrr, [.number(1, weight: 4), .number(2, weight: 3), .number(3, weight: 2)]))
    #expect(open(desk, 21) == [1, 2, 3] + [1, 1, 2, 1, 2, 3, 1, 2, 3, 1, 1, 2, 1, 2, 3, 1, 2, 3])
  }

  /// Where LVS has one cursor per service: new connections of two queues do not take turns.
  @Test(arguments: [Scheduler.rr, .wrr]) func eachWorkerGoesRoundByItself(
    _ scheduler: Scheduler
  ) throws {
    let desks = [try ForwarderDesk(), try ForwarderDesk()]
    for desk in desks { desk.forwarder.join([desks[0].view, desks[1].view]) }
    for desk in desks { try desk.adopt(site(scheduler, [.number(1), .number(2), .number(3)])) }
    let chosen = (0..<6).map { round in
      desks.map { open($0, 1, from: UInt16(2000 + round))[0] }
    }
    #expect(chosen.allSatisfy { $0[0] == $0[1] })
    #expect(Set(chosen.prefix(3).map { $0[0] }) == [1, 2, 3])
  }

  @Test func weightedRoundRobinStepsByTheGreatestCommonDivisor() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(site(.wrr, [.number(1, weight: 300), .number(2, weight: 100)]))
    #expect(open(desk, 10) == [1, 2] + [1, 1, 1, 2, 1, 1, 1, 2])
  }

  /// Those without a fixed place for a client.
  @Test(arguments: Scheduler.allCases.filter { ![.sh, .dh, .mh].contains($0) })
  func weightZeroAndUnresolvedTakeNothing(_ scheduler: Scheduler) throws {
    let desk = try ForwarderDesk()
    try desk.adopt(
      site(
        scheduler,
        [
          .number(1, weight: 0), .number(2, weight: 9),
          .number(3, weight: 65535, isResolved: false),
        ]))
    #expect(open(desk, 3) == [2, 2, 2])
  }

  @Test(arguments: Scheduler.allCases) func noRealServerIsCounted(_ scheduler: Scheduler) throws {
    let desk = try ForwarderDesk()
    try desk.adopt(site(scheduler, []))
    #expect(open(desk, 1) == [0])
    try desk.adopt(site(scheduler, [.number(1, weight: 0)], revision: 2))
    #expect(open(desk, 1) == [0])
    #expect(desk.view.drops(.noRealServer) == 2)
    #expect(desk.view.ipv4Connections == 0)
  }

  /// The kernel would walk the list 2³¹ times here; a decision must stay short.
  @Test func anUnavailableHeavyweightCostsNothing() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(
      site(.wrr, [.number(1, weight: .max >> 1, isResolved: false), .number(2), .number(3)]))
    #expect(open(desk, 4) == [2, 3, 2, 3])
  }

  /// `ip_vs_rr_del_dest`: the mark moves to the entry before the removed one.
  @Test func roundRobinGoesOnWhereTheRemovedOneStood() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(site(.rr, [.number(1), .number(2), .number(3), .number(4)]))
    #expect(open(desk, 2) == [1, 2])
    try desk.adopt(site(.rr, [.number(1), .number(3), .number(4)], revision: 2))
    #expect(open(desk, 3, from: 2000) == [3, 4, 1])
  }

  /// A new real server at the head does not move the mark (`list_add_rcu`).
  @Test func roundRobinKeepsItsPlaceWhenOneIsAdded() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(site(.rr, [.number(1), .number(2)]))
    #expect(open(desk, 1) == [1])
    try desk.adopt(site(.rr, [.number(3), .number(1), .number(2)], revision: 2))
    #expect(open(desk, 3, from: 2000) == [2, 3, 1])
  }

  /// `ip_vs_wrr_dest_changed`: from the head, at the threshold it had.
  @Test func weightedRoundRobinStartsFromTheHeadAfterAChange() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(site(.wrr, [.number(1, weight: 2), .number(2)]))
    #expect(open(desk, 4) == [1, 2] + [1, 1])
    try desk.adopt(site(.wrr, [.number(3), .number(1, weight: 2), .number(2)], revision: 2))
    #expect(open(desk, 3, from: 2000) == [3, 1, 2])
  }

  /// `ip_vs_wrr_dest_changed` lowers the current weight to the heaviest and leaves it there when
  /// that grows again; a queue that takes both changes up as one has nothing to lower.
  @Test(arguments: [(false, [1, 2, 1] as [UInt8]), (true, [1, 1, 2])])
  func weightedRoundRobinTakesChangesTogetherAsOne(areTogether: Bool, next: [UInt8]) throws {
    let desk = try ForwarderDesk()
    let list = [SnapshotSpecification.RealServer.number(1, weight: 2), .number(2)]
    try desk.adopt(site(.wrr, list))
    #expect(open(desk, 3) == [1, 2, 1], "the last one at the current weight 2")
    if !areTogether { try desk.adopt(site(.wrr, [.number(1), .number(2)], revision: 2)) }
    try desk.adopt(site(.wrr, list, revision: 3))
    #expect(open(desk, 3, from: 2000) == next)
  }

  /// Every list of up to four weights 0…3: after whole rounds, shares equal weights.
  @Test func sharesEqualWeights() throws {
    for code in 1..<256 {
      let weights = (0..<4).map { UInt32(code >> (2 * $0) & 3) }
      let desk = try ForwarderDesk(entries: 256)
      try desk.adopt(
        site(.wrr, weights.enumerated().map { .number(UInt8($0 + 1), weight: $1) }))
      let total = Int(weights.reduce(0, +))
      let chosen = open(desk, 2 * total)
      for (place, weight) in weights.enumerated() {
        #expect(chosen.count { $0 == UInt8(place + 1) } == 2 * Int(weight), "\(weights)")
      }
    }
  }
}
