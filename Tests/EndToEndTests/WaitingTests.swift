// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

/// What one sees who waits at a terminal, and what a program does not see.
extension EndToEnd {
  @Suite(.serialized, .requires(.commands("tmux", "script"))) struct WaitingTests {
    /// Clears what was shown in the line.
    private static let cleared = "\r\u{1b}[K"

    /// All that a command writes to a terminal of its own.
    private static func onTerminal(
      _ director: RunningDirector, _ command: String
    ) throws -> String {
      let (ending, output) = try director.host.finish(
        ["script", "-qec", command, "/dev/null"],
        environment: ["MARTINET_CONTROL": director.controlPath, "TERM": "xterm"])
      guard ending == .exit(0) else { throw Failure("\(command): \(ending)\n\(output)") }
      return output
    }

    @Test func listingsAndListsOfCommandsTellHowFarTheyAre() throws {
      let wire = try Wire()
      let director = try RunningDirector(on: wire.director)
      let program = RunningDirector.executable
      let counted = try Self.onTerminal(director, "\(program) connections --count")
      #expect(counted.contains("0 connections\u{1b}[K"), "\(counted.debugDescription)")
      #expect(counted.hasSuffix("\(Self.cleared)0\r\n"), "\(counted.debugDescription)")
      let toFile = try Self.onTerminal(director, "\(program) connections >/dev/null")
      #expect(toFile.contains("0 connections\u{1b}[K") && toFile.hasSuffix(Self.cleared))
      for quiet in ["connections", "connections --count --json", "connections --count 2>&1 | cat"] {
        let output = try Self.onTerminal(director, "\(program) \(quiet)")
        #expect(!output.contains("0 connections"), "\(quiet): \(output.debugDescription)")
      }
      // Three requests of a thousand.
      let rules = (0..<2500).map { "-A -t 10.1.\($0 / 250).\($0 % 250):80 -s rr\n" }.joined()
      let path = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString)"
      try rules.write(toFile: path, atomically: true, encoding: .utf8)
      defer { try? FileManager.default.removeItem(atPath: path) }
      let restored = try Self.onTerminal(director, "\(director.ipvsadmPath) -R < \(path)")
      #expect(restored.contains("\r1000 of 2500 commands"), "\(restored.debugDescription)")
      #expect(restored.contains("\r2000 of 2500 commands") && restored.hasSuffix(Self.cleared))
      let (ending, silent) = try director.host.finish(
        ["sh", "-c", "exec \"$0\" -R < \(path)", director.ipvsadmPath],
        environment: ["MARTINET_CONTROL": director.controlPath])
      #expect(ending == .exit(255) && !silent.contains(" of 2500"))
    }

    /// A director that takes its time: it is stopped.
    @Test func whatTakesLongTellsHowLong() throws {
      let wire = try Wire()
      let director = try RunningDirector(on: wire.director)
      director.process.send(SIGSTOP)
      defer { director.process.send(SIGCONT) }
      let terminal = try TestTerminal(
        on: director.host, "\(RunningDirector.executable) status", control: director.controlPath)
      let isShown = try waitUntil {
        try terminal.lines()[0].hasPrefix("the director is at work: 2 s")
      }
      #expect(isShown, "\(terminal.text)")
      director.process.send(SIGCONT)
      #expect(
        try waitUntil { try terminal.lines()[0].hasPrefix("services 0, ") }, "\(terminal.text)")
      #expect(try !terminal.lines().contains { $0.contains("at work") })
    }

    /// Each change is a line, until nothing is left.
    @Test func aDrainIsWatchedToItsEnd() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, ["192.168.1.151"])
      try director.ipvsadm("--set 900 1 300")
      var living: StreamSocket? = try StreamSocket(
        on: served.lan.client, from: SocketAddress("10.0.0.2", port: 4001),
        to: SocketAddress(Lan.vip, port: 80))
      let terminal = try TestTerminal(
        on: director.host, "\(RunningDirector.executable) drain 192.168.1.151 --wait",
        control: director.controlPath)
      let isUnderWay = try waitUntil { try terminal.lines().contains { $0.contains("draining") } }
      #expect(isUnderWay, "\(terminal.text)")
      #expect(try !terminal.hasEnded)
      #expect(try living?.get(closes: true) == "rs1")
      living = nil
      #expect(try waitUntil(seconds: 60) { try terminal.hasEnded }, "\(terminal.text)")
      #expect(try terminal.lines().last?.contains(" empty ") == true, "\(terminal.text)")
    }
  }
}
