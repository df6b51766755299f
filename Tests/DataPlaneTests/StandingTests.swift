// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

@testable import DataPlane

/// Long lists, of which a decision reads a part: it must choose as one that reads all.
@Suite struct StandingTests {
  typealias RealServer = SnapshotSpecification.RealServer

  #if DEBUG
    private static let decisions = 200
  #else
    private static let decisions = 1000
  #endif

  /// One, two and three levels; the last node of a level full, and with one part.
  private static let counts = [64, 65, 256, 257, 700]

  private static func realServer(
    _ index: UInt16, _ scheduler: Scheduler, _ generator: inout Seed
  ) -> RealServer {
    let weights: [UInt32] =
      scheduler == .wrr ? [0, 2, 2, 4, 6, 10] : [0, 1, 1, 2, 3, 100, 65535]
    let isLimited = Int.random(in: 0..<3, using: &generator) == 0
    let upper: UInt32 = isLimited ? .random(in: 1...6, using: &generator) : 0
    return RealServer(
      index: RealServerIndex(rawValue: index), weight: weights.randomElement(using: &generator)!,
      upperThreshold: upper,
      lowerThreshold: upper == 0 ? 0 : .random(in: 0...upper, using: &generator),
      macAddress: MACAddress(rawValue: 0x0200_0000_0000 | UInt64(index)),
      isResolved: Int.random(in: 0..<8, using: &generator) != 0)
  }

  /// Real servers 1, 2, …
  private static func plain(
    _ count: Int, weight: (Int) -> UInt32 = { _ in 1 }
  ) -> [RealServer] {
    (1...count).map {
      RealServer(
        index: RealServerIndex(rawValue: UInt16($0)), weight: weight($0),
        macAddress: .realServer(1), isResolved: true)
    }
  }

  private static func list(
    _ count: Int, _ scheduler: Scheduler, _ generator: inout Seed
  ) -> [RealServer] {
    (1...2000).shuffled(using: &generator).prefix(count).map {
      realServer(UInt16($0), scheduler, &generator)
    }
  }

  /// Some go, some come, some are edited.
  private static func edit(
    _ list: inout [RealServer], _ scheduler: Scheduler, _ generator: inout Seed
  ) {
    for _ in 0..<Int.random(in: 1...8, using: &generator) {
      let place = Int.random(in: 0..<list.count, using: &generator)
      let index = UInt16.random(in: 2001...4000, using: &generator)
      switch Int.random(in: 0..<3, using: &generator) {
      case 0 where list.count > 60: list.remove(at: place)
      case 1 where !list.contains { $0.index.rawValue == index }:
        list.insert(realServer(index, scheduler, &generator), at: place)
      default: list[place] = realServer(list[place].index.rawValue, scheduler, &generator)
      }
    }
  }

  /// Connections that come, go and become inactive, one by one or many between two decisions.
  private struct Traffic {
    var open: [(realServer: UInt16, unit: UInt64)] = []

    mutating func come(_ realServer: UInt16, _ desk: SchedulerDesk, _ generator: inout Seed) {
      let unit: UInt64 = Int.random(in: 0..<4, using: &generator) == 0 ? 1 << 32 : 1
      open.append((realServer, unit))
      desk.add(unit, to: realServer)
    }

    mutating func change(_ desk: SchedulerDesk, _ generator: inout Seed) {
      guard let place = open.indices.randomElement(using: &generator) else { return }
      let (realServer, unit) = open[place]
      if unit == 1, Bool.random(using: &generator) {
        desk.add(1 << 32 &- 1, to: realServer)
        open[place].unit = 1 << 32
      } else {
        desk.add(0 &- unit, to: realServer)
        open.swapAt(place, open.count - 1)
        open.removeLast()
      }
    }
  }

  @Test(arguments: LinearScheduler.schedulers) func chooseAsOneWalkOverAll(
    _ scheduler: Scheduler
  ) throws {
    for count in Self.counts {
      let seed = UInt64.random(in: 0..<(1 << 32))
      var generator = Seed(seed)
      let desk = try SchedulerDesk(seed: seed)
      var linear = LinearScheduler(scheduler, hashKey: desk.hashKey)
      var list = Self.list(count, scheduler, &generator)
      try desk.adopt(.rr, [])
      try desk.adopt(scheduler, list)
      linear.adopt(list)
      var traffic = Traffic()
      var chosenCount = 0
      for number in 0..<Self.decisions {
        if number % 50 == 49 {
          Self.edit(&list, scheduler, &generator)
          try desk.adopt(scheduler, list)
          linear.adopt(list)
        }
        let client = UInt32.random(in: 1...500, using: &generator)
        let expected = linear.schedule(client: client, port: 9) { desk.words[Int($0)] }
        let chosen = desk.schedule(client: client, port: 9)
        try #require(
          chosen == expected, "\(scheduler), \(count), seed \(seed), decision \(number)")
        if let chosen {
          chosenCount += 1
          traffic.come(chosen, desk, &generator)
        }
        // As `ForwarderCore` looks when a connection begins; the next decision sees the rest.
        let changes = [0, 1, 1, 1, 2, 20].randomElement(using: &generator)!
        for _ in 0..<changes { traffic.change(desk, &generator) }
      }
      #expect(chosenCount > Self.decisions / 2, "\(scheduler), \(count), seed \(seed)")
    }
  }

  /// Two workers add to one set of `lblcr` and see at once what the other did.
  @Test(arguments: [65, 300]) func aSetOfTwoWorkers(_ count: Int) throws {
    let seed = UInt64.random(in: 0..<(1 << 32))
    var generator = Seed(seed)
    let localities = try Localities()
    let desks = try (0..<2).map { _ in try SchedulerDesk(seed: seed, localities: localities) }
    var linear = desks.map { LinearScheduler(.lblcr, hashKey: $0.hashKey) }
    let list = Self.plain(count) { UInt32($0 % 3 + 1) }
    var traffic = [Traffic(), Traffic()]
    for worker in 0..<2 {
      try desks[worker].adopt(.lblcr, list)
      linear[worker].adopt(list)
    }
    for number in 0..<4 * count {
      let worker = Int.random(in: 0..<2, using: &generator)
      let desk = desks[worker]
      let (set, known) = linear[1 - worker].shared
      linear[worker].share(set, known)
      let expected = linear[worker].schedule(client: 1, port: 1) { desk.words[Int($0)] }
      linear[1 - worker].share(linear[worker].set, known)
      let chosen = try #require(desk.schedule(client: 1, port: 1))
      try #require(chosen == expected, "\(count), seed \(seed), decision \(number)")
      traffic[worker].come(chosen, desk, &generator)
      if number % 3 == 0 { traffic[worker].change(desk, &generator) }
    }
    #expect(linear[0].set.count > 8, "seed \(seed)")
  }

  /// What another worker's connections are is known at once in a list of 64, and of longer ones
  /// after each 32 real servers' turn.
  @Test(arguments: [64, 65, 300, 1000]) func othersConnectionsAreSeenInTurn(_ count: Int) throws {
    let desks = try (0..<2).map { _ in try SchedulerDesk() }
    desks[0].join(desks[1])
    let list = Self.plain(count)
    for index in 1...count { desks[1].words[index] = 5 }
    try desks[0].adopt(.wlc, list)
    #expect(desks[0].schedule(client: 1, port: 1) == 1)
    let turns = count > StandingNodes.longestPlainList ? (count + 15) / 16 : 0
    for emptied in [count, count / 2] {
      desks[1].words[emptied] = 0
      let waited = try #require(
        (0...count).first { _ in desks[0].schedule(client: 1, port: 1) == UInt16(emptied) })
      #expect(waited <= (turns + 1) / 2, "real server \(emptied)")
      desks[1].words[emptied] = 5
      // Around the last choice every decision looks.
      #expect(desks[0].schedule(client: 1, port: 1) != UInt16(emptied))
    }
  }

  /// How many real servers a decision reads after a connection has come and another one gone: so
  /// many, at least, would be seen to be idle if nobody had said so.
  @Test(arguments: [Scheduler.lc, .wlc, .sed, .nq]) func aDecisionReadsFew(
    _ scheduler: Scheduler
  ) throws {
    for (count, most) in [(64, 64), (65, 32), (1000, 32), (10_000, 32)] {
      let desk = try SchedulerDesk()
      let list = Self.plain(count)
      for index in 1...count { desk.words[index] = 9 }
      try desk.adopt(scheduler, list)
      #expect(desk.schedule(client: 1, port: 1) == 1)
      var read = 0
      for index in stride(from: 1, through: count, by: 1 + count / 1500) {
        desk.add(1, to: 1)
        desk.add(0 &- 1, to: UInt16(count))
        desk.words[index] &-= 8
        if desk.schedule(client: 1, port: 1) == UInt16(index) { read += 1 }
        desk.add(8, to: UInt16(index))
        desk.add(0 &- 1, to: 1)
        desk.add(1, to: UInt16(count))
        _ = desk.schedule(client: 1, port: 1)
      }
      #expect(read > 0 && read <= most, "\(scheduler), \(count)")
    }
  }

  /// One heavy real server among light ones, far from its last choice: found without a walk, which
  /// would see that others have become heavy.
  @Test(arguments: [1000, 10_000]) func aHeavyOneIsFoundWithoutAWalk(_ count: Int) throws {
    let desk = try SchedulerDesk()
    let list = Self.plain(count) { $0 == count ? 60_000 : 1 }
    // A new service's first round begins otherwise.
    try desk.adopt(.rr, list)
    try desk.adopt(.wrr, list)
    #expect(desk.schedule(client: 1, port: 1) == UInt16(count))
    let members = try #require(desk.decision(client: 1, port: 1)).members
    var read = 0
    for position in 0..<count - 1 {
      members[position].weight = 60_000
      if desk.schedule(client: 1, port: 1) != UInt16(count) { read += 1 }
      members[position].weight = 1
      _ = desk.schedule(client: 1, port: 1)
    }
    #expect(read > 0 && read <= 80)
  }

  @Test func everyListHasRoomForItsTree() {
    for count in 0...65_535 {
      let nodes = StandingLevel.nodeCount(count)
      #expect(nodes * 65 <= count * 6, "\(count)")
      #expect((nodes == 0) == (count <= StandingNodes.longestPlainList))
    }
    #expect(StandingNodes.limit <= Int(UInt16.max))
    #expect(MemoryLayout<StandingNodes.Node>.stride == 32)
    #expect(MemoryLayout<ServiceRecord>.stride == 64)
    #expect(MemoryLayout<Placement>.stride == 8)
  }

  /// A whole forwarder: handshakes, ends, expiry, real servers that come and go.
  @Test(arguments: [Scheduler.wlc, .nq, .ovf, .lblcr, .twos]) func aForwarderChoosesAlike(
    _ scheduler: Scheduler
  ) throws {
    let seed = UInt64.random(in: 0..<(1 << 32))
    var generator = Seed(seed)
    let desk = try ForwarderDesk(entries: 1 << 16, seed: seed)
    var keys = Seed(seed)
    var linear = LinearScheduler(scheduler, hashKey: HashKey(using: &keys))
    var site = SnapshotSpecification.site(scheduler: scheduler)
    site.services = [site.services[0]]
    site.timeouts[.synReceived] = 20
    site.timeouts[.finWait] = 5
    var list = Self.list(200, scheduler, &generator)
    func adopt() throws {
      for gone in site.services[0].realServers
      where !list.contains(where: { $0.index == gone.index }) {
        site.retirements[gone.index] = .removed
      }
      for realServer in list { site.retirements[realServer.index] = nil }
      site.services[0].realServers = list
      site.services[0].revision += 1
      try desk.adopt(site)
      linear.adopt(list)
    }
    func word(_ realServer: UInt16) -> UInt64 {
      let statistics = desk.view.statistics(of: RealServerIndex(rawValue: realServer))
      return UInt64(statistics.inactive) << 32 | UInt64(statistics.active)
    }
    try adopt()
    var open: [PacketBuilder] = []
    for number in 0..<2 * Self.decisions {
      if number % 60 == 59 {
        Self.edit(&list, scheduler, &generator)
        try adopt()
      }
      let packet = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149").with {
        $0.sourcePort = Port(UInt16(number + 1))
        $0.tcpFlags = .syn
      }
      let expected = linear.schedule(client: 0x0a00_0001, port: UInt16(number + 1), word)
      let answer = desk.forward(packet)
      let chosen =
        answer.verdict.isForward
        ? UInt16(answer.frame[4]) << 8 | UInt16(answer.frame[5]) : nil
      try #require(chosen == expected, "\(scheduler), seed \(seed), decision \(number)")
      if let chosen, let realServer = list.first(where: { $0.index.rawValue == chosen }) {
        open.append(packet)
        linear.look(realServer, word(chosen))
      }
      for _ in 0..<Int.random(in: 0...2, using: &generator) {
        guard let other = open.randomElement(using: &generator) else { break }
        let flags: [TCPFlags] = [.ack, .ack, [.fin, .ack], .rst]
        _ = desk.forward(other.with { $0.tcpFlags = flags.randomElement(using: &generator)! })
      }
      desk.advance(seconds: 0.3)
      desk.forwarder.sweep(now: desk.now)
    }
    #expect(desk.view.expired > 10, "seed \(seed)")
  }
}
