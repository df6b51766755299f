// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import Foundation
import TestSupport
import Testing

#if !DEBUG
  /// When real servers are asked, and what their answers come to in the course of time.
  extension EndToEnd {
    @Suite(.serialized) struct CheckScheduleTests {
      /// Forty checks that begin together, by tcpdump's clock at the real server's port: after the
      /// first rounds they come at all times. Without jitter all of a round come in one beat of
      /// 50 ms or two: three hundred questions in fifteen beats.
      @Test(.requires(.commands("tcpdump"))) func checksDoNotComeInOneBurst() throws {
        let served = try ServedLan()
        let checks = (1...40).map {
          "{kind: http, path: /\($0), interval: 0.5, timeout: 2, jitter: 50}"
        }
        let director = try served.director(
          health: "{checks: [\(checks.joined(separator: ", "))]}", others: "")
        let isUnderWay = try waitUntil(seconds: 20) {
          try director.checks().allSatisfy { $0.successes >= 3 }
        }
        #expect(isUnderWay)
        let (ending, output) = try served.lan.fabric.finish(
          [
            "tcpdump", "-i", "rs1", "-c", "300", "-tt", "-n", "--immediate-mode",
            "dst host 192.168.1.151 and tcp[tcpflags] == tcp-syn",
          ], seconds: 60)
        #expect(ending == .exit(0), "\(output)")
        let times = output.matches(of: /(?m)^(\d+\.\d+) IP\b/).compactMap { Double($0.1) }
        #expect(times.count == 300)
        let beats = Set(times.map { Int($0 / 0.05) })
        #expect(beats.count > 40, "\(times.count) questions in \(beats.count) beats")
      }

      /// Nobody has answered yet: one has connections before that and the other has none, and its
      /// first success is enough.
      @Test func theInitialStateHoldsUntilThereIsAnAnswer() throws {
        let served = try ServedLan()
        let folder = NSTemporaryDirectory() + "martinet-test-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try """
        until [ -e \(folder)/well ]; do sleep 0.05; done
        printf 'HTTP/1.0 200 OK\\r\\n\\r\\n'
        """.write(toFile: folder + "/answer", atomically: true, encoding: .utf8)
        let programs = try served.lan.realServers.map {
          try $0.start([
            "socat", "TCP-LISTEN:8079,fork,reuseaddr", "EXEC:/bin/sh \(folder)/answer",
          ])
        }
        defer { programs.forEach { $0.send(SIGTERM) } }
        func check(_ initial: String) -> String {
          "checks: [{kind: http, port: 8079, timeout: 60, rise: 9, initial: \(initial)}]"
        }
        let director = try served.director(
          health: "{on-failure: inhibit}", own: ", \(check("up"))",
          others: ", {address: 192.168.1.152, \(check("down"))}")
        #expect(try served.isAnswered(by: ["rs1"]))
        func checks() throws -> [CheckReport] {
          try director.checks().sorted { $0.realServer < $1.realServer }
        }
        #expect(try checks().map(\.isUp) == [true, false])
        #expect(try checks().allSatisfy { $0.successes + $0.failures == 0 })
        let listing = try director.ipvsadm("-Ln")
        #expect(listing.contains("-> 192.168.1.151:80             Route   1 "), "\(listing)")
        #expect(listing.contains("-> 192.168.1.152:80             Route   0 "), "\(listing)")
        try "".write(toFile: folder + "/well", atomically: false, encoding: .utf8)
        #expect(try served.isAnswered(by: ["rs1", "rs2"]), "\(director.process.output)")
        #expect(try checks().map(\.changes) == [0, 1])
      }

      /// One that comes and goes is counted, and one that never fails twice in a row does not.
      @Test func flapsAreCounted() throws {
        let served = try ServedLan()
        let folder = NSTemporaryDirectory() + "martinet-test-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try "[ -e $0.odd ] && rm $0.odd && exit 1\n: >$0.odd\n".write(
          toFile: folder + "/alternate", atomically: true, encoding: .utf8)
        func command(_ words: String, fall: Int) -> String {
          "{kind: command, command: \(words), interval: 0.1, rise: 1, fall: \(fall)}"
        }
        let director = try served.director(
          health: """
            {checks: [\(command("/usr/bin/test -e \(folder)/well", fall: 1)),
              \(command("/bin/sh \(folder)/alternate", fall: 2))]}
            """, others: "", ["--metrics", "127.0.0.1:9749"])
        func checks() throws -> [CheckReport] {
          try director.checks().sorted { $0.check > $1.check }
        }
        for changes in UInt64(1)...5 {
          if changes.isMultiple(of: 2) {
            try "".write(toFile: folder + "/well", atomically: false, encoding: .utf8)
          } else {
            try? FileManager.default.removeItem(atPath: folder + "/well")
          }
          let isCounted = try waitUntil(seconds: 20) {
            try checks().first?.changes == changes
          }
          #expect(isCounted, "\(changes): \(director.process.output)")
        }
        let alternates = try waitUntil(seconds: 20) {
          try director.checks().allSatisfy { $0.failures >= 3 }
        }
        #expect(alternates)
        #expect(try checks().map(\.changes) == [5, 0])
        #expect(try checks().map(\.isUp) == [false, true])
        let said = director.process.output.split(separator: "\n").filter {
          $0.contains("check is ") && $0.contains(" test #")
        }
        #expect(
          said.map { $0.contains("check is up") } == [false, true, false, true, false], "\(said)")
        let metrics = try served.lan.director.finish(
          ["curl", "-s", "-m", "5", "http://127.0.0.1:9749/metrics"]
        ).output
        #expect(
          metrics.contains(
            /martinet_check_changes_total{check="command 192.168.1.151 test #.*} 5\n/), "\(metrics)"
        )
        #expect(
          metrics.contains(/martinet_check_changes_total{check="command 192.168.1.151 sh #.*} 0\n/))
      }
    }
  }
#endif
