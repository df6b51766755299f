// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

@testable import DataPlane

/// `lblc` and `lblcr` where the recording of the kernel's answers does not reach: days, several
/// workers, indices that are given out again. Expected values are those of the rules in
/// ip_vs_lblc.c and ip_vs_lblcr.c.
@Suite struct LocalityTests {
  private static let both = [Scheduler.lblc, .lblcr]

  private func chosen(_ desk: SchedulerDesk) -> UInt16? { desk.schedule(client: 1, port: 1) }

  /// Active connections of real servers 1, 2, …
  private func set(_ desk: SchedulerDesk, _ active: [UInt64]) {
    for (place, count) in active.enumerated() { desk.words[place + 1] = count }
  }

  private func desk(_ scheduler: Scheduler, weights: [UInt32]) throws -> SchedulerDesk {
    let desk = try SchedulerDesk()
    try desk.adopt(scheduler, Self.list(weights))
    return desk
  }

  private static func list(_ weights: [UInt32]) -> [SnapshotSpecification.RealServer] {
    weights.enumerated().map { .number(UInt8($0 + 1), weight: $1) }
  }

  /// Crowded is more than its weight, and only while another one has fewer than half of its.
  @Test(arguments: both) func theBoundsOfCrowding(_ scheduler: Scheduler) throws {
    let desk = try desk(scheduler, weights: [4, 8])
    #expect(chosen(desk) == 1)
    set(desk, [4, 0])
    #expect(chosen(desk) == 1)
    set(desk, [5, 4])
    #expect(chosen(desk) == 1)
    set(desk, [5, 3])
    #expect(chosen(desk) == 2)
    set(desk, [0, 8])
    #expect(chosen(desk) == (scheduler == .lblc ? 2 : 1))
  }

  /// One second short of a day it is as it was; after a day without use the least loaded is taken.
  @Test(arguments: both) func anIdleDestinationIsForgottenAfterADay(_ scheduler: Scheduler) throws {
    let desk = try desk(scheduler, weights: [10, 10])
    #expect(chosen(desk) == 1)
    set(desk, [5, 1])
    desk.now = desk.now.advanced(byMilliseconds: 86_399_000)
    #expect(chosen(desk) == 1)
    desk.now = desk.now.advanced(byMilliseconds: 86_400_000)
    #expect(chosen(desk) == 2)
    set(desk, [0, 1])
    #expect(chosen(desk) == 2)
  }

  /// A month without use is no day: the tick's sign has changed meanwhile.
  @Test(arguments: both) func aLongIdleDestinationIsForgotten(_ scheduler: Scheduler) throws {
    let desk = try desk(scheduler, weights: [10, 10])
    #expect(chosen(desk) == 1)
    set(desk, [5, 1])
    desk.now = desk.now.advanced(byMilliseconds: 30 * 86_400_000)
    #expect(chosen(desk) == 2)
  }

  /// A set of three in use, unchanged for more than a day: the most loaded leaves, then, a day
  /// later, the next one, and the last one stays.
  @Test func aSettledSetLosesItsMostLoaded() throws {
    let desk = try desk(.lblcr, weights: [1, 1, 1])
    var loads: [UInt64] = []
    for number in 1...3 {
      #expect(chosen(desk) == UInt16(number))
      loads.append(2)
      set(desk, loads)
    }
    func halfADay() {
      desk.now = desk.now.advanced(byMilliseconds: 43_200_500)
    }
    func members() -> [UInt16] {
      // Whoever is idle alone is chosen if it is of the set: nobody is crowded at weight 1.
      (1...3).filter { number in
        set(desk, (1...3).map { $0 == number ? 0 : 1 })
        return chosen(desk) == number
      }
    }
    set(desk, [1, 0, 1])
    halfADay()
    #expect(chosen(desk) == 2)
    set(desk, [0, 1, 2])
    halfADay()
    #expect(chosen(desk) == 1)
    #expect(members() == [1, 2])
    halfADay()
    _ = chosen(desk)
    set(desk, [2, 1, 0])
    halfADay()
    // The least loaded is found before the most loaded leaves, as in the kernel.
    #expect(chosen(desk) == 2)
    #expect(members() == [2])
    halfADay()
    _ = chosen(desk)
    halfADay()
    #expect(members() == [2])
  }

  /// Of equals the one that joined last is first in the kernel's list.
  @Test func ofEqualsTheLastToJoin() throws {
    let desk = try desk(.lblcr, weights: [1, 2, 1])
    #expect(chosen(desk) == 1)
    set(desk, [2, 1, 0])
    #expect(chosen(desk) == 3)
    set(desk, [2, 0, 2])
    #expect(chosen(desk) == 2)
    set(desk, [1, 2, 1])
    #expect(chosen(desk) == 2)
  }

  /// All queues lead a destination to the same real server, whichever began.
  @Test(arguments: both) func allWorkersKnowIt(_ scheduler: Scheduler) throws {
    let localities = try Localities()
    let desks = try (0..<3).map { _ in try ForwarderDesk(localities: localities) }
    for desk in desks { desk.forwarder.join(desks.filter { $0 !== desk }.map(\.view)) }
    var site = SnapshotSpecification.site(scheduler: scheduler)
    site.services = [site.services[0]]
    site.services[0].realServers = (1...4).map { .number($0, weight: 100) }
    for desk in desks { try desk.adopt(site) }
    for port in UInt16(1)...60 {
      let packet = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149").with {
        $0.sourcePort = Port(port)
      }
      #expect(desks[Int(port) % 3].forward(packet).frame[5] == 1, "\(port)")
    }
  }

  /// A real server that is back within the two minutes of its index is what it was; a new one
  /// that got the index is not.
  @Test(arguments: both) func anIndexGivenOutAgainIsAnotherRealServer(
    _ scheduler: Scheduler
  ) throws {
    for isRetired in [false, true] {
      let desk = try ForwarderDesk()
      func open(_ port: UInt16) -> UInt8 {
        desk.forward(
          PacketBuilder(from: "10.0.0.1", to: "192.168.1.149").with { $0.sourcePort = Port(port) }
        ).frame[5]
      }
      var site = SnapshotSpecification.site(scheduler: scheduler)
      site.services[0].realServers = [.number(2, weight: 9), .number(1, weight: 9)]
      func adopt(_ change: (inout SnapshotSpecification) -> Void) throws {
        change(&site)
        site.services[0].revision += 1
        try desk.adopt(site)
      }
      try desk.adopt(site)
      #expect(open(1) == 2)
      try adopt {
        $0.services[0].realServers.removeFirst()
        $0.retirements[RealServerIndex(rawValue: 2)] = isRetired ? .retired : .removed
      }
      try adopt {
        $0.services[0].realServers.append(.number(2, weight: 9))
        $0.retirements = [:]
      }
      #expect(open(2) == (isRetired ? 1 : 2))
    }
  }

  /// `ip_vs_lblc_done_svc`: with its scheduler a service loses what that remembered.
  @Test(arguments: both) func anotherSchedulerBeginsAnew(_ scheduler: Scheduler) throws {
    let desk = try desk(scheduler, weights: [10, 10])
    #expect(chosen(desk) == 1)
    set(desk, [5, 1])
    #expect(chosen(desk) == 1)
    try desk.adopt(.rr, Self.list([10, 10]))
    try desk.adopt(scheduler, Self.list([10, 10]))
    #expect(chosen(desk) == 2)
  }
}
