// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

/// Passwords stand in the files that the operator wrote them into, and nowhere else.
extension EndToEnd {
  @Suite(.serialized, .requires(.commands("curl", "openssl"))) struct SecretTests {
    /// In every place of the configuration file that may hold one.
    private static let mark = "Marked0"

    private static func text(_ secrets: Secrets, _ mark: String = mark) -> String {
      """
      interface: {name: lan0, copy-mode: copy}
      announce: true
      notify: /bin/false --password \(mark)
      api: {listen: "127.0.0.1:9750", certificate: \(secrets.certificate), key: \(secrets.key),
        token-file: \(secrets.token)}
      services:
      - vip: \(Lan.vip)
        protocol: tcp
        port: 80
        real-servers:
        - address: 192.168.1.151
          checks:
          - {kind: command, command: /no/such/program --password \(mark), interval: 0.2, fall: 1}
          - {kind: command, command: /bin/false --password \(mark), interval: 0.2, fall: 1}
          - {kind: http, path: "/health?token=\(mark)", interval: 0.2, fall: 1}
          - {kind: udp, port: 53, payload: \(mark), interval: 0.2, fall: 1}

      """
    }

    /// Values that are refused, each with a password in it.
    private static let wrong = """
      interface: {name: lan0}
      announce: true
      notify: notify \(mark)
      api: {listen: "127.0.0.1:9750", certificate: \(mark), key: \(mark), token-file: \(mark)}
      services:
      - vip: \(Lan.vip)
        protocol: tcp
        port: 80
        health:
          checks:
          - {kind: command, command: program \(mark)}
          - {kind: http, path: health?token=\(mark)}
          - {kind: udp, payload: "hex:\(mark)"}

      """

    @Test func noneIsShownAnywhere() throws {
      let (lan, secrets) = (try Lan(), try Secrets())
      let path = secrets.folder + "/martinet.yaml"
      try Self.text(secrets).write(toFile: path, atomically: true, encoding: .utf8)
      let director = try RunningDirector(on: lan.director, ["--config", path])
      func martinet(_ arguments: String) throws -> String {
        try director.host.finish(
          [RunningDirector.executable] + arguments.split(separator: " ").map(String.init),
          environment: ["MARTINET_CONTROL": director.controlPath]
        ).output
      }
      let isUnderWay = try waitUntil {
        let (checks, log) = (try martinet("checks"), director.process.output)
        return checks.contains("exit code 1") && checks.contains("no such file")
          && log.contains("notify script")
      }
      let checks = try martinet("checks")
      #expect(isUnderWay, "\(checks)\n\(director.process.output)")
      var shown: [String: String] = [:]
      for document in [
        "services", "checks", "configuration", "neighbors", "queues", "vips", "openapi.json",
      ] {
        shown[document] = try director.get(document)
      }
      shown["metrics"] = try director.host.run(
        "curl -sS --unix-socket \(director.controlPath) http://director/metrics")
      for command in ["checks", "checks --json", "status", "reload --plan", "ipvsadm -Ln"] {
        shown[command] = try martinet(command)
      }
      #expect(shown["checks"]?.contains("program #") == true)
      #expect(shown["configuration"]?.contains("/no/such/program #") == true)
      shown["wrong token"] = try director.host.run(
        "curl -sSi --cacert \(secrets.certificate) -H 'Authorization: Bearer \(secrets.word)0' "
          + "https://127.0.0.1:9750/v1/services")
      #expect(shown["wrong token"]?.contains("401") == true)

      // Another password is a change, one that needs a restart for `notify`; a wrong file says why.
      try Self.text(secrets, "\(Self.mark)1").write(toFile: path, atomically: true, encoding: .utf8)
      shown["plan"] = try martinet("reload --plan")
      #expect(shown["plan"]?.contains("needs a restart: notify /bin/false #") == true)
      shown["reload"] = try martinet("reload")
      director.process.send(SIGHUP)
      #expect(waitUntil { director.process.output.contains("SIGHUP: nothing is changed") })
      try Self.wrong.write(toFile: path, atomically: true, encoding: .utf8)
      shown["wrong"] = try martinet("config check \(path)")
      #expect(shown["wrong"]?.split(separator: "\n").count == 7, "\(shown["wrong"] ?? "")")
      shown["wrong as JSON"] = try martinet("config check --json \(path)")
      shown["refused"] = try martinet("reload")
      director.process.send(SIGHUP)
      #expect(
        waitUntil { director.process.output.contains("is wrong: give a program's absolute path") },
        "\(director.process.output)")
      director.process.send(SIGTERM)
      #expect(director.process.wait(seconds: 10) == .exit(0))
      shown["log"] = director.process.output

      let key = try String(contentsOfFile: secrets.key, encoding: .utf8).split(separator: "\n")[1]
      for (place, text) in shown {
        #expect(!text.isEmpty, "\(place)")
        for secret in [Self.mark, secrets.word, String(key)] {
          #expect(!text.contains(secret), "\(place): \(text)")
        }
      }
    }
  }
}
