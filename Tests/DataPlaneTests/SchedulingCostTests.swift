// SPDX-License-Identifier: Apache-2.0
#if !DEBUG
  import TestSupport
  import Testing

  @testable import DataPlane

  /// What one decision costs, in the optimised build. Only packets that open a connection pay it.
  @Suite(.serialized) struct SchedulingCostTests {
    /// Nanoseconds for one decision among `count` real servers: the best of five rounds.
    private func cost(_ scheduler: Scheduler, _ count: Int) throws -> Double {
      var specification = SnapshotSpecification(egressMACAddresses: [.director])
      specification.services = [
        .init(
          index: ServiceIndex(rawValue: 1), key: .web, scheduler: scheduler, revision: 1,
          realServers: (1...count).map {
            .init(
              index: RealServerIndex(rawValue: UInt16($0)), weight: UInt32($0 % 7 + 1),
              macAddress: .realServer(1), isResolved: true)
          })
      ]
      let snapshot = try Snapshot(specification, generation: 1)
      let indices = Int(UInt16.max) + 1
      let words = UnsafeMutablePointer<UInt64>.allocate(capacity: indices)
      let peers = UnsafeMutablePointer<UnsafeMutablePointer<UInt64>>.allocate(capacity: 1)
      let overloads = UnsafeMutablePointer<UInt32>.allocate(capacity: indices)
      defer {
        words.deallocate()
        peers.deallocate()
        overloads.deallocate()
      }
      words.initialize(repeating: 0, count: indices)
      overloads.initialize(repeating: 0, count: indices)
      var generator = Seed(1)
      for index in 1...count { words[index] = .random(in: 1..<1000, using: &generator) }
      let loads = ConnectionLoads(own: words, peers: peers, overloads: overloads)
      let hashKey = HashKey(using: &generator)
      let localities = try Localities()
      var cursor = SchedulerCursor(place: 0, currentWeight: 7)
      let decisions = 2_000_000 / (count + 1000)
      var best = Double.infinity
      for _ in 0..<5 {
        let start = ContinuousClock.now
        for number in 0..<decisions {
          let decision = Decision(
            snapshot.content, service: 1, client: Client(ipv4: UInt64(number) << 32),
            loads: loads, localities: localities.table, hashKey: hashKey,
            now: Tick(rawValue: 1000))
          guard let chosen = cursor.schedule(decision) else { continue }
          words[Int(decision.members[chosen].realServer)] &+= 1
        }
        let elapsed = (ContinuousClock.now - start).components.attoseconds
        best = min(best, Double(elapsed) / 1e9 / Double(decisions))
      }
      return best
    }

    @Test func aDecisionIsShort() throws {
      print("nanoseconds a decision among     2     100    1000   10000 real servers")
      for scheduler in Scheduler.allCases {
        let costs = try [2, 100, 1000, 10000].map { try cost(scheduler, $0) }
        print("  \(scheduler)", costs.map { String(Int($0.rounded())) }.joined(separator: "  "))
        #expect(costs.allSatisfy { $0 > 0 })
      }
    }
  }
#endif
