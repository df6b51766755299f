// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

@testable import DataPlane

/// Which entry a connection gets whose first line is full, against the rule read record by record,
/// on ticks around the present, the limit and the end of their range.
@Suite struct RoomTests {
  private struct Pair {
    var now: Tick
    var limit: Tick
    /// The first line's, then its neighbour's; nil where vacant.
    var records: [ConnectionMeta?]

    init(_ entries: Int, using generator: inout Seed) {
      let now = Tick(rawValue: .random(in: 0...100_000, using: &generator) &- 50_000)
      let distances: [Int32] = [-2999, -1, 0, 1, 2, 57_000]
      let limit = Tick(
        rawValue: now.rawValue &+ UInt32(bitPattern: distances.randomElement(using: &generator)!))
      let lasting = [now.rawValue &+ 900_000, limit.rawValue &+ 1]
      let near =
        lasting + [now, limit].flatMap { [$0.rawValue &- 1, $0.rawValue, $0.rawValue &+ 1] }
      // Most pairs with nothing to take, or the first record decides nearly all.
      let choices = Bool.random(using: &generator) ? near : lasting
      records = (0..<entries).map { place in
        if place >= entries / 2, Int.random(in: 0..<20, using: &generator) == 0 { return nil }
        let states: [ConnectionState] = [.synReceived, .established, .udp]
        return ConnectionMeta(
          realServer: .max, state: states.randomElement(using: &generator)!.rawValue,
          birth: BirthStamp(rawValue: .max),
          expiry: Tick(rawValue: choices.randomElement(using: &generator)!))
      }
      (self.now, self.limit) = (now, limit)
    }

    /// The first vacant entry, else the first that has expired, else of the half-open ones the
    /// first that expires first, if before the limit.
    var expected: Int? {
      if let vacancy = records.firstIndex(where: { $0 == nil }) { return vacancy }
      let metas = records.compactMap { $0 }
      if let expired = metas.firstIndex(where: { $0.isExpired(at: now) }) { return expired }
      return metas.indices.filter {
        metas[$0].isHalfOpen && metas[$0].expiry.milliseconds(since: limit) < 0
      }.min { metas[$0].expiry.milliseconds(since: metas[$1].expiry) < 0 }
    }
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>) func isByTheRule(seed: UInt64) {
    var generator = Seed(seed)
    let line = UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 128)
    defer { line.deallocate() }
    let words = line.bindMemory(to: UInt64.self, capacity: 16)
    var found = [0, 0]
    for _ in 0..<10_000 {
      let ipv4 = Pair(8, using: &generator)
      for (place, record) in ipv4.records.enumerated() {
        words[place / 4 * 8 + place % 4] = record == nil ? 0 : 1
        words[place / 4 * 8 + place % 4 + 4] = record?.rawValue ?? 0
      }
      let entry = IPv4ConnectionTable.room(
        beside: line, now: ipv4.now, yieldingBefore: ipv4.limit)
      #expect(entry?.key == ipv4.expected.map { words + $0 / 4 * 8 + $0 % 4 }, "\(ipv4)")
      found[0] += entry == nil ? 0 : 1

      let ipv6 = Pair(4, using: &generator)
      for (place, record) in ipv6.records.enumerated() {
        words[place * 4 + 2] = record == nil ? 0 : 1
        words[place * 4 + 3] = record?.rawValue ?? 0
      }
      let position = IPv6ConnectionTable.room(
        beside: line, now: ipv6.now, yieldingBefore: ipv6.limit)
      #expect(position?.words == ipv6.expected.map { words + $0 * 4 }, "\(ipv6)")
      found[1] += position == nil ? 0 : 1
    }
    #expect(found.allSatisfy { (1000..<9000).contains($0) }, "\(found) of 10000 had room")
  }
}
