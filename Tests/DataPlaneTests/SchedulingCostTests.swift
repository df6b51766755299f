// SPDX-License-Identifier: Apache-2.0
#if !DEBUG
  import TestSupport
  import Testing

  @testable import DataPlane

  /// What one decision costs, in the optimised build. Only packets that open a connection pay it.
  /// Each decision here finds a real server.
  @Suite(.serialized) struct SchedulingCostTests {
    /// Nanoseconds for one decision among `count` real servers, before each of which one
    /// connection has begun and another one ended somewhere: the best of five rounds.
    private func cost(_ scheduler: Scheduler, _ count: Int, workers: Int = 1) throws -> Double {
      let desk = try SchedulerDesk()
      let peers = try (1..<workers).map { _ in try SchedulerDesk() }
      defer { withExtendedLifetime(peers) {} }
      for peer in peers { desk.join(peer) }
      // `ovf` takes weights for numbers of connections: the heaviest fill up, not all.
      let leastWeight = scheduler == .ovf ? 5000 : 1
      try desk.adopt(
        scheduler,
        (1...count).map {
          .init(
            index: RealServerIndex(rawValue: UInt16($0)), weight: UInt32(leastWeight + $0 % 7),
            address: .v4(IPv4Address(rawValue: 0x0a01_0000 + UInt32($0))),
            macAddress: .realServer(1), isResolved: true)
        })
      var generator = Seed(1)
      for desk in [desk] + peers {
        for index in 1...count {
          desk.words[index] = .random(in: 1..<1000 / UInt64(workers), using: &generator)
        }
      }
      let sample = try #require(desk.decision(client: 1, port: 1))
      var cursor = desk.cursor
      // The last connections of real servers drawn at random.
      let open = UnsafeMutableBufferPointer<UInt16>.allocate(capacity: 4096)
      defer { open.deallocate() }
      _ = open.initialize(
        from: (0..<4096).map { _ in .random(in: 1...UInt16(count), using: &generator) })
      for index in open { desk.words[Int(index)] &+= 1 }
      let decisions = 2_000_000 / (count + 1000)
      var (best, refusals) = (Double.infinity, 0)
      for _ in 0..<5 {
        let start = ContinuousClock.now
        for number in 0..<decisions {
          let decision = Decision(
            sample.content, service: 1, client: Client(ipv4: UInt64(number) << 32),
            loads: sample.loads, localities: sample.localities, hashKey: sample.hashKey,
            now: sample.now)
          guard let chosen = cursor.schedule(decision) else {
            refusals += 1
            continue
          }
          let realServer = decision.members[chosen].realServer
          decision.loads.add(1, to: realServer, in: decision.content)
          decision.loads.add(0 &- 1, to: open[number & 4095], in: decision.content)
          open[number & 4095] = realServer
        }
        let elapsed = (ContinuousClock.now - start).components.attoseconds
        best = min(best, Double(elapsed) / 1e9 / Double(decisions))
      }
      #expect(refusals == 0, "\(scheduler) among \(count)")
      return best
    }

    @Test func aDecisionIsShort() throws {
      print("nanoseconds a decision among 2, 100, 1000, 10000; 1000 by one of 8 workers")
      for scheduler in Scheduler.allCases {
        let costs =
          try [2, 100, 1000, 10000].map { try cost(scheduler, $0) }
          + [try cost(scheduler, 1000, workers: 8)]
        print("  \(scheduler)", costs.map { String(Int($0.rounded())) }.joined(separator: "  "))
      }
    }
  }
#endif
