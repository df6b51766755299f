// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

/// What the README files say to type to the API works as it stands there.
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
      let commands = try ["README.md", "Sources/AdminServer/README.md"].flatMap(Self.commands)
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

    /// Requests, and what they read, among the indented lines, with those that continue them; the
    /// host's name before them left out. Not the one that the clients of the lab send.
    private static func commands(_ readme: String) throws -> [String] {
      try String(contentsOf: repository.appending(path: readme), encoding: .utf8)
        .replacing("\\\n", with: "").split(separator: "\n")
        .filter { $0.hasPrefix("    ") }
        .map { $0.trimmingPrefix(while: \.isWhitespace).trimmingPrefix("director# ") }
        .filter { $0.hasPrefix("curl ") || $0.hasPrefix("tag=") || $0.hasPrefix("service=") }
        .map(String.init)
    }
  }
}
