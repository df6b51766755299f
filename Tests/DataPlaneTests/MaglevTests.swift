// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

@testable import DataPlane

/// `maglev`: who keeps its real server, and how evenly they are shared out.
@Suite struct MaglevTests {
  typealias RealServer = SnapshotSpecification.RealServer

  /// Real servers 10.1.0.1 and on, the weight of each by its number.
  private func realServers(_ count: Int, weight: (Int) -> UInt32 = { _ in 1 }) -> [RealServer] {
    (1...count).map {
      RealServer(
        index: RealServerIndex(rawValue: UInt16($0)), weight: weight($0),
        address: .v4(IPv4Address(rawValue: 0x0a01_0000 + UInt32($0))),
        macAddress: .realServer(1), isResolved: true)
    }
  }

  /// The real servers of 100 000 flows, none of which is counted.
  private func placements(_ realServers: [RealServer]) throws -> [UInt16] {
    let desk = try SchedulerDesk()
    try desk.adopt(.maglev, realServers)
    return (0..<100_000).map {
      desk.schedule(client: 0x0a64_0000 + UInt32($0 / 100), port: UInt16(1024 + $0 % 100)) ?? 0
    }
  }

  /// How many flows of real servers other than `gone` have another one now.
  private func moved(_ before: [UInt16], _ after: [UInt16], except gone: UInt16) -> Int {
    zip(before, after).count { $0 != gone && $0 != $1 }
  }

  @Test func oneOfAHundredLeaves() throws {
    let all = realServers(100)
    let before = try placements(all)
    for gone in [1, 38, 100] {
      let after = try placements(all.filter { $0.index.rawValue != gone })
      let others = moved(before, after, except: UInt16(gone))
      print("maglev: real server \(gone) of 100 removed, \(others) flows of others moved of 100000")
      #expect(others <= 1000)
      #expect(!after.contains(UInt16(gone)))
    }
  }

  /// Its slots are kept, so only its own flows move.
  @Test func oneOfAHundredIsDownOrDrained() throws {
    var all = realServers(100)
    let before = try placements(all)
    all[41].isResolved = false
    all[56].weight = 0
    let after = try placements(all)
    #expect(zip(before, after).allSatisfy { $0 == $1 || $0 == 42 || $0 == 57 })
    #expect(!after.contains(42) && !after.contains(57))
    // Theirs, some 2 000, spread over the others.
    #expect(Set(zip(before, after).filter { $0 != $1 }.map(\.1)).count > 90)
  }

  @Test func allDirectorsHaveTheSameTable() throws {
    let all = realServers(100) { UInt32($0 % 3 + 1) }
    #expect(try placements(all) == placements(all.reversed()))
  }

  @Test func sharesAreByWeight() throws {
    let counts = try placements(realServers(10) { UInt32($0) }).reduce(into: [:]) {
      $0[$1, default: 0] += 1
    }
    for (realServer, count) in counts {
      let expected = 100_000.0 * Double(realServer) / 55
      #expect(abs(Double(count) - expected) < expected / 10 + 300, "\(realServer): \(count)")
    }
    // ipvsadm takes weights up to 2³¹ - 1.
    let extremes = try placements(realServers(3) { $0 == 2 ? 1 : .max >> 1 })
    #expect(Set(extremes).isSuperset(of: [1, 3]))
    #expect(extremes.count { $0 == 1 } > 40_000)
  }

  /// 2 000 connections from 20 clients that all use one port: no real server ever has more than
  /// 5/4 of its share.
  @Test(arguments: [1, 7, 50]) func loadIsBounded(count: Int) throws {
    let seed = UInt64(count)
    var generator = Seed(seed)
    let all = realServers(count) { UInt32($0 % 5 + 1) }
    let sum = all.reduce(0) { $0 + UInt64($1.weight) }
    let desk = try SchedulerDesk()
    try desk.adopt(.maglev, all)
    for total in UInt64(1)...2000 {
      let chosen = try #require(
        desk.schedule(client: .random(in: 1...20, using: &generator), port: 1024))
      desk.words[Int(chosen)] += 1
      let bound = (5 * total * UInt64(all[Int(chosen) - 1].weight) + 4 * sum - 1) / (4 * sum)
      #expect(desk.words[Int(chosen)] <= bound, "seed \(seed)")
    }
  }

  @Test func tableSizesArePrimesOfAHundredSlotsEach() {
    for size in MaglevTable.sizes {
      #expect((2...size).prefix { $0 * $0 <= size }.allSatisfy { size % $0 != 0 })
    }
    #expect(MaglevTable.sizes.contains { $0 >= 10_000 * 100 && $0 < 1 << 21 })
    #expect(MaglevTable.sizes.last! >= 65_535 * 100)
    // The large ones in release only; one of the last size takes seconds there.
    for count in thinned([1, 10_000, 40, 10_485, 41], to: 2) + [655, 656] {
      let service = SnapshotSpecification.Service(
        index: ServiceIndex(rawValue: 1), key: .web, scheduler: .maglev, revision: 1,
        realServers: realServers(count))
      let size = MaglevTable.slots(of: service).count
      #expect(size >= 100 * count && MaglevTable.sizes.contains(UInt64(size)), "\(count)")
    }
  }

  #if !DEBUG
    @Test func aTableOfTenThousandIsBuiltWithinASecond() throws {
      let service = SnapshotSpecification.Service(
        index: ServiceIndex(rawValue: 1), key: .web, scheduler: .maglev, revision: 1,
        realServers: realServers(10_000) { UInt32($0 % 7 + 1) })
      let durations = (0..<3).map { _ in
        ContinuousClock().measure { _ = MaglevTable.slots(of: service) }
      }
      print("maglev: table of 10000 real servers built in \(durations.min()!)")
      #expect(durations.min()! < .seconds(1))
    }
  #endif
}
