// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

/// A running director and its file, by the real commands.
extension EndToEnd {
  @Suite(.serialized) struct ReloadTests {
    private static func text(_ realServers: [String]) -> String {
      """
      interface: {name: lan0, copy-mode: copy}
      services:
      - {vip: \(Lan.vip), protocol: tcp, port: 80, scheduler: rr,
         real-servers: [\(realServers.map { "{address: \($0)}" }.joined(separator: ", "))]}

      """
    }

    @Test func theFileIsReloadedConfirmedAndSaved() throws {
      let served = try ServedLan()
      let path = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString).yaml"
      defer {
        for name in [path, path + ".old"] { try? FileManager.default.removeItem(atPath: name) }
      }
      func write(_ realServers: [String]) throws {
        try Self.text(realServers).write(toFile: path, atomically: true, encoding: .utf8)
      }
      try write(["192.168.1.151"])
      let director = try RunningDirector(on: served.lan.director, ["--config", path])
      func martinet(_ arguments: String...) throws -> (ending: Child.Ending, output: String) {
        try served.lan.director.finish(
          [RunningDirector.executable] + arguments + ["--control", director.controlPath])
      }
      func answers(_ expected: Set<String>) throws -> Bool {
        try waitUntil {
          let replies = try served.ask(4)
          return Set(replies.map(String.init(describing:)))
            == Set(expected.map { String(describing: Reply.body($0)) })
        }
      }
      #expect(try answers(["rs1"]))

      try write(["192.168.1.152"])
      let plan = try martinet("reload", "--plan")
      #expect(plan.ending == .exit(0), "\(plan.output)")
      let web = "service TCP \(Lan.vip):80"
      #expect(plan.output.hasPrefix("remove \(web), real server 192.168.1.151\n"))
      #expect(plan.output.contains("live connections of real servers that go: "))
      #expect(try answers(["rs1"]))
      // On trial, and taken back.
      #expect(try martinet("reload", "--confirm", "5").ending == .exit(0))
      #expect(try answers(["rs2"]))
      #expect(try answers(["rs1"]))
      #expect(try martinet("confirm").ending == .exit(65))
      // For good, by the signal.
      director.process.send(SIGHUP)
      #expect(try answers(["rs2"]))
      let living = try StreamSocket(
        on: served.lan.client, from: SocketAddress("10.0.0.2", port: 4001),
        to: SocketAddress(Lan.vip, port: 80))
      #expect(try living.get(closes: false) == "rs2")
      // A change at run time is in the way until it is saved.
      try director.ipvsadm("-a \(ServedLan.web) -r 192.168.1.151")
      let refused = try martinet("reload")
      #expect(refused.ending == .exit(65))
      #expect(refused.output.contains("save it first, or force the reload"), "\(refused.output)")
      #expect(try martinet("save").output.hasSuffix("saved\n"))
      #expect(try martinet("reload", "--json").output.contains("\"changes\" : ["))
      #expect(try answers(["rs1", "rs2"]))
      // Connections of what stays go on.
      #expect(try living.get(closes: false) == "rs2")
      #expect(living.retransmits == 0)
    }
  }
}
