// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

/// What the README files say to type works as it stands there.
extension EndToEnd {
  @Suite(.serialized, .requires(.commands("bash", "curl", "openssl"))) struct ReadmeTests {
    private static let repository = URL(filePath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()

    @Test func everyRequestOfTheReadmesIsCarriedOut() throws {
      let (served, secrets) = (try ServedLan(), try Secrets())
      let path = secrets.folder + "/martinet.yaml"
      try """
      interface: {name: lan0, copy-mode: copy}
      api: {listen: "192.168.1.150:9750", certificate: \(secrets.certificate),
        key: \(secrets.key), token-file: \(secrets.token)}
      services:
      - {vip: \(Lan.vip), protocol: tcp, port: 80, scheduler: rr,
         real-servers: [{address: 192.168.1.151}, {address: 192.168.1.152}]}

      """.write(toFile: path, atomically: true, encoding: .utf8)
      let director = try RunningDirector(on: served.lan.director, ["--config", path])
      let commands = try Self.files.flatMap(Self.requests)
      #expect(commands.filter { $0.contains("curl ") }.count >= 5, "\(commands)")
      let script = commands.joined(separator: "\n")
        .replacing("/run/martinet/control.sock", with: director.controlPath)
        .replacing("ca.pem", with: secrets.certificate)
        .replacing("api.token", with: secrets.token)
      let (ending, output) = try director.host.finish([
        "bash", "-euxc",
        "curl() { command curl -sS --fail-with-body -m 30 \"$@\"; echo; }\n" + script,
      ])
      #expect(ending == .exit(0), "\(output)")
      let service = try director.get("services/tcp/\(Lan.vip)/80")
      #expect(service.contains(#""scheduler":"wlc""#), "\(service)")
      #expect(try director.get("drains").contains(#""address":"192.168.1.151""#))
    }

    /// The operator's session, line by line, with the example file; what runs for ever is running.
    @Test func everyCommandOfTheReadmeIsCarriedOut() throws {
      let served = try ServedLan()
      let folder = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString)"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: folder) }
      let file = try Self.exampleFile()
      try file.write(toFile: folder + "/martinet.yaml", atomically: true, encoding: .utf8)
      let director = try RunningDirector(
        on: served.lan.director, ["--config", folder + "/martinet.yaml"])
      var commands = try Self.lines("README.md").filter {
        $0.hasPrefix("ipvsadm ") || $0.hasPrefix("martinet ") && !$0.hasPrefix("martinet run ")
      }
      #expect(commands.count >= 18, "\(commands)")
      // The session begins without services, and reloads what it has by then.
      commands.insert("ipvsadm -C", at: try #require(commands.firstIndex { $0.contains(" -A ") }))
      commands.insert(
        "martinet save", at: try #require(commands.firstIndex { $0.contains(" reload ") }))
      let script = commands.joined(separator: "\n").replacing("/etc/martinet/", with: "imported-")
      let (ending, output) = try director.host.finish(
        [
          "bash", "-euxc",
          "cd \(folder)\nmartinet() { \(RunningDirector.executable) \"$@\"; }\n"
            + "ipvsadm() { \(director.ipvsadmPath) \"$@\"; }\n" + script
            + "\nmartinet config check imported-martinet.yaml",
        ], environment: ["MARTINET_CONTROL": director.controlPath], seconds: 60)
      #expect(ending == .exit(0), "\(output)")
      #expect(output.contains("imported-martinet.yaml is right: services 1, real servers 2"))
    }

    /// The error that the README shows is that of its own file with its own slip.
    @Test func theErrorThatIsShownIsTheProgramsOwn() throws {
      let path = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString).yaml"
      defer { try? FileManager.default.removeItem(atPath: path) }
      try Self.exampleFile().replacing("weight", with: "weigth")
        .write(toFile: path, atomically: true, encoding: .utf8)
      let (_, output) = try Child.run([RunningDirector.executable, "config", "check", path])
      let line = output.replacing(path, with: "martinet.yaml")
      #expect(try Self.text("README.md").contains("    \(line)"), "\(line)")
    }

    /// What stands between the lines of a sentence: its words and options exist.
    @Test func everyCommandInASentenceExists() throws {
      let root = try ProgramDump.command()
      let spans = try Self.files.flatMap {
        try Self.text($0).matches(of: /`martinet ([^`]+)`/).map { String($0.output.1) }
      }
      #expect(spans.count > 15)
      for span in spans {
        var (command, isValue) = (root, false)
        for word in span.split(whereSeparator: \.isWhitespace) {
          if let next = command.subcommands?.first(where: { $0.commandName == word }) {
            command = next
          } else if word.hasPrefix("-") {
            // ipvsadm's own have their own grammar.
            let name = String(word.drop { $0 == "-" })
            let isKnown = command.options.contains(name) || command.commandName == "ipvsadm"
            #expect(isKnown, "martinet \(span): \(word)")
            isValue = true
          } else {
            #expect(isValue || command.takesWords, "martinet \(span): \(word)")
          }
        }
      }
    }

    private static let files = ["README.md", "Sources/AdminServer/README.md"]

    private static func text(_ file: String) throws -> String {
      try String(contentsOf: repository.appending(path: file), encoding: .utf8)
    }

    /// The first configuration file of the README.
    private static func exampleFile() throws -> String {
      let lines = try text("README.md").split(separator: "\n", omittingEmptySubsequences: false)
      let first = try #require(lines.firstIndex(of: "    interface:"))
      return lines[first...].prefix { $0.hasPrefix("    ") }
        .map { $0.dropFirst(4) + "\n" }.joined()
    }

    /// The indented lines, with those that continue them; the director's name before them left out.
    private static func lines(_ file: String) throws -> [String] {
      try text(file).replacing("\\\n", with: "").split(separator: "\n")
        .filter { $0.hasPrefix("    ") }
        .map { $0.trimmingPrefix(while: \.isWhitespace).trimmingPrefix("director# ") }
        .map(String.init)
    }

    /// Requests, and what they read. Not the one that the clients of the lab send.
    private static func requests(_ file: String) throws -> [String] {
      try lines(file).filter {
        $0.hasPrefix("curl ") || $0.hasPrefix("tag=") || $0.hasPrefix("service=")
      }
    }
  }
}
