// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import Foundation
import TestSupport
import Testing

/// `martinet run --config` and `martinet config`, with the real binary.
extension EndToEnd {
  @Suite(.serialized) struct ConfigurationFileTests {
    private static func withFile<Value>(
      _ text: String, _ action: (String) throws -> Value
    ) throws -> Value {
      let path = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString).yaml"
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      defer { try? FileManager.default.removeItem(atPath: path) }
      return try action(path)
    }

    /// What a command prints, which exits with this code.
    private static func json<Report: Decodable>(
      _ type: Report.Type, _ command: [some StringProtocol], exit code: Int32 = 0
    ) throws -> Report {
      let (ending, output) = try Child.run(command.map { String($0) })
      #expect(ending == .exit(code), "\(output)")
      return try JSONDecoder().decode(type, from: Data(output.utf8))
    }

    private static func web(_ realServers: [String]) -> String {
      """
      interface: {name: lan0, copy-mode: copy}
      services:
      - vip: \(Lan.vip)
        protocol: tcp
        port: 80
        scheduler: rr
        real-servers: [\(realServers.map { "{address: \($0)}" }.joined(separator: ", "))]

      """
    }

    @Test func theFilesServicesAreServed() throws {
      let served = try ServedLan()
      let text = Self.web(["192.168.1.151", "192.168.1.152"])
      try Self.withFile(text) { path in
        let director = try RunningDirector(on: served.lan.director, ["--config", path])
        let resolved = try waitUntil {
          let realServers = try director.realServersOf(ServedLan.web)
          return realServers.count == 2 && realServers.allSatisfy(\.isResolved)
        }
        #expect(resolved, "\(director.process.output)")
        let answers = try served.ask(4)
        #expect(answers.filter { $0 == .body("rs1") }.count == 2, "\(answers)")
        #expect(answers.filter { $0 == .body("rs2") }.count == 2, "\(answers)")
      }
    }

    @Test(
      arguments: [
        ("10.77.0.1", "10.77.0.1"),
        ("192.168.1.151, weigth: 2", "services[0].real-servers[0].weigth"),
      ])
    func aBadFileAttachesNothing(realServer: String, word: String) throws {
      let wire = try Wire()
      try Self.withFile(Self.web([realServer])) { path in
        let (ending, output) = try wire.director.finish(
          RunningDirector.command(["--config", path], control: path + ".control"), seconds: 30)
        #expect(ending == .exit(65), "\(output)")
        #expect(output.contains(word), "\(output)")
        #expect(try !wire.director.run("ip -d link show lan0").contains("prog/xdp"))
      }
    }

    @Test func whatIsImportedIsAFile() throws {
      let program = RunningDirector.executable
      let rules = """
        -A -t 192.0.2.1:80 -s wrr
        -a -t 192.0.2.1:80 -r 192.0.2.11:80 -g -w 3
        -a -t 192.0.2.1:80 -r 192.0.2.12:80 -m -w 1

        """
      let keepalived = """
        virtual_server 192.0.2.1 80 {
          lb_algo wrr
          lb_kind DR
          real_server 192.0.2.11 80 { weight 3
          }
          quorum_up /bin/true
        }

        """
      for (kind, text, missing) in [
        ("ipvsadm", rules, "line 3: "), ("keepalived", keepalived, "line 6: quorum_up: "),
      ] {
        try Self.withFile(text) { path in
          let command = "\(program) config import \(kind) \(path) --interface lan0"
          let file = try Child.run(["sh", "-c", "\(command) 2>/dev/null"])
          #expect(file.ending == .exit(0))
          let rest = try Child.run(["sh", "-c", "\(command) 2>&1 >/dev/null"])
          #expect(rest.output.hasPrefix("\(path): \(missing)"), "\(rest.output)")
          let check = try Self.withFile(file.output) {
            try Child.run([program, "config", "check", $0])
          }
          #expect(check.output.hasSuffix("is right: services 1, real servers 1\n"))
          let whole = try Self.json(ImportReport.self, command.split(separator: " ") + ["--json"])
          #expect(whole.configuration == file.output)
          #expect(rest.output.hasPrefix("\(path): line \(whole.leftOut[0].line): "))
        }
      }
    }

    @Test func checkAndShowNeedNoDirector() throws {
      let program = RunningDirector.executable
      try Self.withFile(Self.web(["192.168.1.151"])) { path in
        let check = try Child.run([program, "config", "check", path])
        #expect(check.ending == .exit(0))
        #expect(check.output == "\(path) is right: services 1, real servers 1\n")
        let show = try Child.run([program, "config", "show", path])
        #expect(show.output.contains("    weight: 1\n"), "\(show.output)")
        let again = try Self.withFile(show.output) { shown in
          try Child.run([program, "config", "show", shown])
        }
        #expect(again.output == show.output)
        let right = try Self.json(
          ConfigurationCheckReport.self, [program, "config", "check", path, "--json"])
        #expect(right == ConfigurationCheckReport(file: path, services: 1, realServers: 1))
        // JSON is YAML: what is shown by it means the same.
        let json = try Child.run([program, "config", "show", path, "--json"])
        #expect(json.output.contains(#""port" : 80,"#), "\(json.output)")
        let fromJSON = try Self.withFile(json.output) { shown in
          try Child.run([program, "config", "show", shown])
        }
        #expect(fromJSON.output == show.output)
      }
      try Self.withFile(Self.web(["192.168.1.151, weigth: 2", "192.168.1.300"])) { path in
        let check = try Self.json(
          ConfigurationCheckReport.self, [program, "config", "check", path, "--json"], exit: 65)
        #expect(check.file == path && check.services == nil)
        #expect(check.findings.map(\.line) == [7, 7])
        let line = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")[6]
        let places = try ["2}", "192.168.1.300"].map { word in
          line[..<(try #require(line.firstRange(of: word)).lowerBound)].count + 1
        }
        #expect(check.findings.map(\.column) == places)
        #expect(
          check.findings.map(\.path) == [
            "services[0].real-servers[0].weigth", "services[0].real-servers[1].address",
          ])
        #expect(check.findings.map(\.cause) == ["is no known key", "\"192.168.1.300\" is wrong"])
        #expect(
          check.findings.map(\.mend) == [
            "the nearest is `weight`", "give an IP address such as 192.0.2.1 or 2001:db8::1",
          ])
        let said = try Child.run([program, "config", "check", path])
        let words = zip(check.findings, said.output.split(separator: "\n")).map { finding, line in
          line.hasSuffix(": \(finding.path!): \(finding.cause): \(finding.mend!)")
        }
        #expect(words == [true, true], "\(said.output)")
      }
      let missing = try Child.run([program, "config", "check", "/nonexistent.yaml"])
      #expect(missing.ending == .exit(66))
      #expect(missing.output.contains("No such file"), "\(missing.output)")
    }
  }
}
