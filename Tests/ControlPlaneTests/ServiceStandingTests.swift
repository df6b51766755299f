// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import ControlPlane

/// Quorum, sorry server and slow start, at any time the test likes.
@Suite struct ServiceStandingTests {
  private static let addresses = (1...4).map { IPAddress("192.168.1.15\($0)")! }
  private static let sorry = IPAddress("192.168.1.159")!

  private var standing = ServiceStanding()
  private var health = ServiceHealth()

  init() { health.checks = [HealthCheck(.tcp)] }

  /// Real servers of weights `weights`, up where `states` has a +, and the weights that come of it.
  @discardableResult
  private mutating func update(
    _ states: String, _ weights: [UInt32], _ scheduler: Scheduler = .wrr, at seconds: Double = 0
  ) -> [UInt32] {
    let candidates = zip(zip(Self.addresses, states), weights).map {
      ServiceStanding.Candidate(address: $0.0, weight: $1, isUp: $0.1 == "+")
    }
    _ = standing.update(health, candidates, scheduler, now: .seconds(seconds))
    return candidates.map { standing.realServers[$0.address]!.weight }
  }

  /// keepalived's conditions: lost below 3 - 1, gained at 3 + 1; weights count, not heads.
  @Test mutating func quorumHasHysteresis() {
    (health.quorum, health.hysteresis) = (3, 1)
    let steps: [(String, Bool)] = [
      ("----", false), ("+---", false), ("+-+-", false), ("+++-", true), ("+-+-", true),
      ("+---", true), ("-+--", false), ("++--", false), ("++++", true), ("----", false),
    ]
    // The first alone is enough not to lose it, the second is not.
    for (number, (states, expected)) in steps.enumerated() {
      update(states, [2, 1, 1, 1])
      #expect(standing.hasQuorum == expected, "step \(number): \(states)")
    }
  }

  @Test(arguments: [ServiceHealth.FailureAction.inhibit, .remove])
  mutating func theSorryServerTakesOver(action: ServiceHealth.FailureAction) {
    (health.quorum, health.sorryServer, health.onFailure) = (2, Self.sorry, action)
    #expect(update("++", [1, 1]) == [1, 1])
    #expect(standing.realServers[Self.sorry]?.weight == 0)
    #expect(standing.realServers[Self.sorry]?.isMember == (action == .inhibit))
    // The one that is up takes no more either.
    #expect(update("+-", [1, 1]) == [0, 0])
    #expect(standing.realServers[Self.sorry]?.weight == 1)
    #expect(standing.realServers[Self.sorry]?.isMember == true)
    #expect(standing.realServers[Self.addresses[0]]?.isMember == (action == .inhibit))
    #expect(standing.realServers[Self.addresses[0]]?.isUp == true)
    #expect(update("++", [1, 1]) == [1, 1])
    #expect(standing.realServers[Self.sorry]?.weight == 0)
  }

  /// A quorum that nobody stands in for changes no weight.
  @Test mutating func aQuorumWithoutASorryServerOnlyTells() {
    health.quorum = 2
    #expect(update("+-", [1, 1]) == [1, 0])
    #expect(standing.hasQuorum == false)
  }

  @Test mutating func slowStartIsARampOfParts() {
    health.slowStartSeconds = 9
    update("++", [1, 3])
    #expect(standing.scale == 1 && !standing.isRising)
    update("-+", [1, 3])
    var parts: [UInt32] = []
    for second in 0...10 {
      #expect(update("++", [1, 3], at: Double(100 + second)) == [1, 3])
      parts.append(standing.realServers[Self.addresses[0]]!.share)
      let other = standing.realServers[Self.addresses[1]]!.share
      #expect(other == 3 * standing.scale)
    }
    // A tenth of 256 more each second, then all is as it was.
    #expect(parts == [25, 51, 76, 102, 128, 153, 179, 204, 230, 1, 1])
    #expect(standing.scale == 1 && !standing.isRising)
  }

  /// Down again on the way: it begins anew, and nothing is left where it does not come back.
  @Test mutating func aRampEndsWithAFall() {
    health.slowStartSeconds = 9
    update("-+", [10, 10])
    update("++", [10, 10], at: 1)
    update("++", [10, 10], at: 5)
    #expect(update("-+", [10, 10], at: 6) == [0, 10])
    #expect(!standing.isRising)
    #expect(update("++", [10, 10], at: 7) == [1, 10])
  }

  /// Weights of these are slots or connections: in whole numbers, which 1 has none of.
  @Test(arguments: [Scheduler.sh, .mh, .ovf, .fo, .lblc])
  mutating func otherSchedulersRampInWholeWeights(scheduler: Scheduler) {
    health.slowStartSeconds = 9
    update("--", [100, 1], scheduler)
    update("++", [100, 1], scheduler, at: 1)
    #expect(standing.realServers[Self.addresses[0]]?.share == 10)
    #expect(standing.realServers[Self.addresses[1]]?.share == 1)
    #expect(standing.scale == 1)
  }

  @Test mutating func theLargestWeightsDoNotOverflow() {
    health.slowStartSeconds = 86_400
    let largest = RealServerConfiguration.largestWeight
    update("--", [largest, 0])
    #expect(update("++", [largest, 0], at: 1)[1] == 0)
    update("++", [largest, 0], at: 86_399)
    #expect(standing.realServers[Self.addresses[0]]!.share < largest)
    #expect(update("++", [largest, 0], at: 86_402) == [largest, 0])
  }
}
