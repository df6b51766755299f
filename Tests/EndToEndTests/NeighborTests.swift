// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import DataPlane
import Foundation
import TestSupport
import Testing

/// Real servers that are absent, present, and present twice.
extension EndToEnd {
  @Suite(.serialized) struct NeighborTests {
    @Test func aDoubleOfARealServerIsSeen() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      let address = IPAddress("192.168.1.153")!
      try director.ipvsadm("-A \(ServedLan.web) -s rr")
      try director.ipvsadm("-a \(ServedLan.web) -r \(address)")
      func neighbor() throws -> NeighborReport {
        let reports = try JSONDecoder().decode(
          [NeighborReport].self, from: Data(director.get("neighbors").utf8))
        return try #require(reports.first)
      }
      #expect(try neighbor().address == address && neighbor().state == .unresolved)
      #expect(try director.martinet("neighbors").contains("\(address)          unresolved"))

      // Both own the address, and say so in turn: `arp_notify`, ip-sysctl.rst.
      let macs = [Lan.mac(151), Lan.mac(152)]
      func isTaken(by turn: Int, _ action: () throws -> Void = {}) throws -> Bool {
        try waitUntil(seconds: 30) {
          try action()
          return try neighbor().macAddress == macs[turn]
        }
      }
      for (turn, host) in served.lan.realServers.enumerated() {
        try host.run("sysctl -qw net.ipv4.conf.lan0.arp_notify=1")
        try host.ip("address add \(address)/24 dev lan0")
        if turn == 0 { #expect(try isTaken(by: 0)) }
      }
      for turn in [1, 0] {
        let isHeard = try isTaken(by: turn) {
          try served.lan.realServers[turn].ip("link set lan0 address \(macs[turn])")
        }
        let neighbors = try director.get("neighbors")
        #expect(isHeard, "\(neighbors)")
      }
      let report = try neighbor()
      #expect(report.state == .resolved && report.changes >= 2)
      #expect(report.previousMACAddress == macs[1])
      #expect(report.isDuplicate && !report.isFlapping)
      #expect(try director.martinet("neighbors").contains(" duplicate\n"))
      #expect(director.process.output.contains("two hosts may own its address"))
      let metrics = try director.host.run(
        "curl -sS --unix-socket \(director.controlPath) http://director/metrics")
      #expect(!metrics.contains("martinet_neighbor_events_total{event=\"duplicate\"} 0\n"))
      let labels = "{real_server=\"\(address)\"}"
      #expect(metrics.contains("martinet_neighbor_changes_total\(labels) "))
      #expect(metrics.contains("martinet_neighbor_duplicate\(labels) 1\n"))
      #expect(metrics.contains("martinet_neighbor_flapping\(labels) 0\n"))
    }
  }
}
