// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import Foundation
import TestSupport
import Testing

/// `--json`: what a program reads where people read a table.
extension EndToEnd {
  @Suite(.serialized) struct JSONTests {
    /// The commands that have none, and why.
    private static let exceptions = [
      "run": "it logs until it ends", "ipvsadm": "its text is ipvsadm's, which programs know",
      "notify": "it prints nothing, and takes what keepalived appends",
      "confirm": "its exit code says all", "service set": "it prints nothing",
      "mark add": "it prints nothing", "mark remove": "it prints nothing",
      "drain cancel": "it prints nothing",
    ]

    @Test func everyCommandThatPrintsHasIt() throws {
      let leaves = try ProgramDump.command().leaves()
      #expect(leaves.count > 20)
      let without = leaves.filter { !$0.1.options.contains("json") }.map(\.name)
      #expect(Set(without) == Set(Self.exceptions.keys))
    }

    /// On a host that is prepared, and on one that is so no more.
    @Test func aRealServersHostTellsWhatItIs() throws {
      let lan = try Lan()
      let host = lan.realServers[0]
      func realServer<Report: Decodable>(
        _ verb: String, as type: Report.Type
      ) throws -> (ending: Child.Ending, report: Report) {
        let (ending, output) = try host.finish([
          RunningDirector.executable, "realserver", verb, Lan.vip, "--json",
        ])
        return (ending, try JSONDecoder().decode(type, from: Data(output.utf8)))
      }
      let up = try realServer("up", as: RealServerHostReport.self)
      #expect(up.ending == .exit(0))
      #expect(up.report.changes.last == "added \(Lan.vip)/32 to lo")
      #expect(try realServer("up", as: RealServerHostReport.self).report.changes == [])
      let right = try realServer("check", as: RealServerCheckReport.self)
      #expect(right.ending == .exit(0) && right.report.isRight)
      #expect(!right.report.findings.isEmpty)
      #expect(try !realServer("down", as: RealServerHostReport.self).report.changes.isEmpty)
      let wrong = try realServer("check", as: RealServerCheckReport.self)
      #expect(wrong.ending == .exit(1) && !wrong.report.isRight)
      #expect(wrong.report.findings.contains { $0.mend?.contains("realserver up") == true })
    }
  }
}
