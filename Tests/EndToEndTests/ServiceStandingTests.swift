// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import Foundation
import TestSupport
import Testing

#if !DEBUG
  /// What becomes of a service whose real servers, real ones, die and come back.
  extension EndToEnd {
    @Suite(.serialized) struct ServiceStandingTests {
      private static let fast = "interval: 0.2, timeout: 1, rise: 1, fall: 1"

      /// keepalived's rule, with which OracleTests compare it: quorum 2 with a hysteresis of 1 is
      /// lost below 1, and gained at 3.
      @Test func theSorryServerStandsInFromBelowTheQuorumToAboveIt() throws {
        let served = try ServedLan()
        let sorry = try Machine("rs3")
        try served.lan.plug(sorry, number: 159)
        try sorry.run("\(RunningDirector.executable) realserver up \(Lan.vip)")
        try served.startNginx(on: sorry)
        defer { served.stopNginx(on: sorry) }
        let director = try served.director(
          health: """
            {checks: [{kind: tcp, \(Self.fast)}], quorum: 2, hysteresis: 1,
              sorry-server: 192.168.1.159}
            """, own: ", weight: 2")
        func service() throws -> ServiceReport { try #require(director.table().services.first) }
        // Who is up: rs1 with weight 2, rs2 with weight 1.
        let steps: [(up: Set<String>, hasQuorum: Bool, answering: Set<String>)] = [
          (["rs1", "rs2"], true, ["rs1", "rs2"]), (["rs1"], true, ["rs1"]),
          (["rs1", "rs2"], true, ["rs1", "rs2"]), (["rs2"], true, ["rs2"]),
          ([], false, ["rs3"]), (["rs1"], false, ["rs3"]), (["rs1", "rs2"], true, ["rs1", "rs2"]),
        ]
        var running: Set = ["rs1", "rs2"]
        for (number, step) in steps.enumerated() {
          for host in served.lan.realServers where running.contains(host.name) {
            if !step.up.contains(host.name) { served.stopNginx(on: host) }
          }
          for host in served.lan.realServers where !running.contains(host.name) {
            if step.up.contains(host.name) { try served.startNginx(on: host) }
          }
          running = step.up
          let isSeen = try waitUntil(seconds: 20) {
            let states = try service().realServers.filter { !$0.isSorryServer }
              .map { ($0.realServer.address, $0.health?.isUp) }
            return states.allSatisfy { address, isUp in
              isUp == step.up.contains("\(address)" == "192.168.1.151" ? "rs1" : "rs2")
            }
          }
          #expect(isSeen, "step \(number): \(director.process.output)")
          #expect(try service().hasQuorum == step.hasQuorum, "step \(number)")
          let isRight = try served.isAnswered(by: step.answering)
          let listing = try director.ipvsadm("-Ln")
          #expect(isRight, "step \(number): \(listing)")
        }
        let words = director.process.output.split(separator: "\n").filter { $0.contains("quorum") }
        #expect(words.map { $0.contains("quorum lost") } == [true, false], "\(words)")
      }

      /// The weight in the listing rises second by second to the whole, and new connections come by
      /// the weights.
      @Test func aRiseIsSlow() throws {
        let served = try ServedLan()
        let director = try served.director(
          scheduler: "wrr", health: "{checks: [{kind: tcp, \(Self.fast)}], slow-start: 7}",
          own: ", weight: 100", others: ", {address: 192.168.1.152, weight: 100}")
        func weight() throws -> Int? {
          let line = try director.ipvsadm("-Ln").split(separator: "\n")
            .first { $0.contains("-> 192.168.1.151:80 ") }
          return line.flatMap { Int($0.split(separator: " ")[3]) }
        }
        // Of what is up at the start there is no rise.
        #expect(try weight() == 100)
        served.stopNginx(on: served.lan.realServers[0])
        #expect(try waitUntil(seconds: 20) { try weight() == 0 })
        try served.startNginx(on: served.lan.realServers[0])
        #expect(try waitUntil(seconds: 20) { try weight() != 0 })
        let early = try served.ask(12).count { $0 == .body("rs1") }
        var weights = [try #require(try weight())]
        // Shares are as the weights were at most, and wrr may be off by two.
        #expect(early <= 12 * weights[0] / (weights[0] + 100) + 2, "\(weights)")
        let isWhole = try waitUntil(seconds: 30) {
          weights.append(try #require(try weight()))
          return weights.last == 100
        }
        #expect(isWhole && weights == weights.sorted(), "\(weights)")
        // An eighth of it more with each second.
        #expect(
          Set(weights).subtracting([100]).isSubset(of: [13, 25, 38, 50, 63, 75, 88]), "\(weights)")
        #expect(Set(weights).count >= 3, "\(weights)")
        #expect((5...7).contains(try served.ask(12).count { $0 == .body("rs1") }))
      }
    }
  }
#endif
