// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import Foundation
import TestSupport
import Testing

/// `martinet status` and `martinet top`, the latter in a real terminal.
extension EndToEnd {
  @Suite(.serialized, .requires(.commands("tmux"))) struct TopTests {
    @Test func statusTellsWhatIsServed() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, ["192.168.1.151", "192.168.1.152"])
      #expect(try served.ask(4).count { $0 == .timedOut } == 0)
      let status = try director.martinet("status").split(separator: "\n")
      #expect(status[0] == "services 1, real servers 2, of which 2 take connections")
      #expect(status[1].hasPrefix("connections 4 of "))
      let filtered = try director.martinet("status --filter 1.152")
      #expect(filtered.contains("192.168.1.152") && !filtered.contains("192.168.1.151"))
      let json = try JSONDecoder().decode(
        StatusReport.self, from: Data(try director.martinet("status --json").utf8))
      #expect(json.table.services.first?.statistics.connections == 4 && json.queues.count == 1)
      let once = try director.martinet("top --once --interval 0.2")
      #expect(once.contains("TCP  \(Lan.vip):80") && once.contains("/s"), "\(once)")
      let picture = try JSONDecoder().decode(
        StatusReport.self, from: Data(try director.martinet("top --once --json").utf8))
      #expect(picture.table.services.map(\.service) == json.table.services.map(\.service))
      let (ending, output) = try director.host.finish(
        [RunningDirector.executable, "top"], environment: ["MARTINET_CONTROL": director.controlPath]
      )
      #expect(ending == .exit(69) && output.contains("needs a terminal"), "\(output)")
    }

    @Test func topIsLiveAndFollowsKeysAndSize() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, ["192.168.1.151", "192.168.1.152"])
      try director.serve(ServedLan.names, ["192.168.1.151"])
      let terminal = try TestTerminal(
        on: director.host, "\(RunningDirector.executable) top --interval 0.2",
        control: director.controlPath)
      func shows(_ condition: ([String]) -> Bool) throws -> Bool {
        try waitUntil { condition(try terminal.lines()) }
      }
      #expect(try shows { $0[0].hasPrefix("services 2, real servers 3") }, "\(terminal.text)")
      #expect(try terminal.lines().last?.contains("sorted: added") == true)
      // It lives: a real server that comes to drain, and traffic.
      try director.martinet("drain 192.168.1.152")
      #expect(try shows { $0.contains { $0.hasSuffix(" drained") } }, "\(terminal.text)")
      #expect(try served.ask(2) == [.body("rs1"), .body("rs1")])
      #expect(try shows { $0[1].hasPrefix("connections 2 of") }, "\(terminal.text)")
      // Sorted by name the UDP service stays second; the filter leaves only it.
      try terminal.type("n")
      #expect(try shows { $0.last?.contains("sorted: name") == true })
      try terminal.type("/udp")
      #expect(try shows { $0.last == "filter: udp_" }, "\(terminal.text)")
      try terminal.press("Enter")
      #expect(try shows { !$0.contains { $0.hasPrefix("TCP") } }, "\(terminal.text)")
      #expect(try terminal.lines().contains { $0.hasPrefix("UDP") })
      try terminal.press("Escape")
      #expect(try shows { $0.contains { $0.hasPrefix("TCP") } })
      // Smaller than its list, it is a window that moves.
      try terminal.resize(columns: 40, rows: 11)
      #expect(try shows { $0.last?.hasPrefix("lines 1-2 of 5") == true }, "\(terminal.text)")
      #expect(try terminal.lines().allSatisfy { $0.count <= 40 })
      try terminal.press("Down")
      #expect(try shows { $0.last?.hasPrefix("lines 2-3 of 5") == true }, "\(terminal.text)")
      try terminal.press("End")
      #expect(try shows { $0.last?.hasPrefix("lines 4-5 of 5") == true }, "\(terminal.text)")
      // Without a director it waits, and says so.
      director.process.send(SIGTERM)
      #expect(try shows { $0.last?.hasPrefix("no director answers") == true }, "\(terminal.text)")
      try terminal.type("q")
      #expect(try waitUntil { try terminal.hasEnded })
    }
  }
}
