// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import Foundation
import TestSupport
import Testing

/// The API of a director at work, asked with curl: over its Unix socket, and over TCP with TLS.
extension EndToEnd {
  @Suite(.serialized, .requires(.commands("curl", "openssl"))) struct APITests {
    private static let endpoint = "127.0.0.1:9750"
    private static let web = "/v1/services/tcp/\(Lan.vip)/80"
    private static let names =
      #"{"service":{"protocol":"udp","address":"192.168.1.149","port":53},"scheduler":"rr"}"#

    private static func text(_ secrets: Secrets) -> String {
      """
      interface: {name: lan0, copy-mode: copy}
      announce: true
      capacity: {ipv4-connections: 1024, ipv6-connections: 1024, persistent-clients: 1024}
      api: {listen: "\(endpoint)", certificate: \(secrets.certificate), key: \(secrets.key),
        token-file: \(secrets.token)}
      marks: [{mark: 1, match: [{vip: 192.168.1.148, protocol: tcp, ports: 80-90}]}]
      services:
      - {vip: \(Lan.vip), protocol: tcp, port: 80, scheduler: rr, persistence: {timeout: 60},
         health: {checks: [{kind: tcp, interval: 1}]},
         real-servers: [{address: 192.168.1.151}, {address: 192.168.1.152}]}

      """
    }

    /// Every operation of the document, with real data behind each, and refusals of every layer.
    private static let steps: [(String, body: String, status: Int)] = [
      ("GET /v1/openapi.json", "", 200), ("GET /v1/services", "", 200), ("GET \(web)", "", 200),
      ("HEAD \(web)", "", 200), ("GET \(web)/real-servers", "", 200),
      ("GET \(web)/real-servers/192.168.1.151/80", "", 200), ("GET /v1/connections", "", 200),
      ("GET /v1/connections?limit=1&state=ESTABLISHED,FIN_WAIT", "", 200),
      ("GET /v1/connections/count?client=10.0.0.0/8", "", 200), ("GET /v1/neighbors", "", 200),
      ("GET /v1/queues", "", 200), ("GET /v1/program", "", 200), ("GET /metrics", "", 200),
      ("GET /v1/checks", "", 200), ("GET /v1/marks", "", 200), ("GET /v1/timeouts", "", 200),
      ("GET /v1/configuration", "", 200), ("GET /v1/vips", "", 200),
      ("POST /v1/services", names, 201), ("POST /v1/services", names, 409),
      ("PATCH /v1/services/udp/\(Lan.vip)/53", #"{"scheduler":"wrr","isOnePacket":true}"#, 200),
      (
        "POST /v1/services/udp/\(Lan.vip)/53/real-servers",
        #"{"realServer":{"address":"192.168.1.151","port":53},"weight":2}"#, 201
      ),
      (
        "PATCH /v1/services/udp/\(Lan.vip)/53/real-servers/192.168.1.151/53",
        #"{"weight":1,"thresholds":{"upper":9,"lower":2}}"#, 200
      ),
      ("POST /v1/commands", "[{\"addService\":\(names)},{\"zero\":{}}]", 200),
      ("PATCH /v1/timeouts", #"{"tcp":600,"tcpFin":0,"udp":0}"#, 200),
      ("POST \(web)/zero", "", 204), ("POST /v1/zero", "", 204),
      (
        "POST /v1/drains",
        #"{"address":"192.168.1.151","deadlineSeconds":300,"then":"rehash"}"#, 201
      ),
      ("GET /v1/drains", "", 200), ("GET \(web)", "", 200),
      ("DELETE /v1/drains/192.168.1.151/tcp/\(Lan.vip)/80", "", 204),
      ("DELETE /v1/drains/192.168.1.151", "", 204), ("DELETE /v1/drains/192.168.1.151", "", 404),
      ("POST /v1/configuration/save", "", 200),
      ("POST /v1/configuration/reload", #"{"isPlan":true}"#, 200),
      ("POST /v1/configuration/reload", #"{"confirmSeconds":60}"#, 200),
      ("POST /v1/configuration/confirm", "", 204), ("POST /v1/configuration/confirm", "", 409),
      ("PUT /v1/vips", #"{"role":"backup"}"#, 200), ("PUT /v1/vips", #"{"role":"master"}"#, 200),
      ("POST /v1/vips/announce", "", 200), ("PUT /v1/vips", #"{"role":"king"}"#, 400),
      ("GET /v2", "", 404), ("GET /v1/services/tcp/x/80", "", 404), ("PUT \(web)", "{}", 405),
      ("POST /v1/services", "{", 400), ("GET /v1/connections?limit=0", "", 400),
      ("PATCH /v1/timeouts", #"{"tcp":4000000000,"tcpFin":0,"udp":0}"#, 422),
      ("DELETE /v1/services/udp/\(Lan.vip)/53/real-servers/192.168.1.151/53", "", 204),
      ("DELETE /v1/services/udp/\(Lan.vip)/53", "", 204),
    ]

    @Test func everyOperationAnswersAsTheDocumentSays() throws {
      let (served, secrets) = (try ServedLan(), try Secrets())
      let path = secrets.folder + "/martinet.yaml"
      try Self.text(secrets).write(toFile: path, atomically: true, encoding: .utf8)
      let director = try RunningDirector(on: served.lan.director, ["--config", path])
      let isServing = try waitUntil {
        try director.realServersOf(ServedLan.web).allSatisfy { $0.isResolved && $0.isMember }
          && served.ask(1)[0] != .refused
      }
      #expect(isServing, "\(director.process.output)")
      #expect(try served.ask(2).allSatisfy { [.body("rs1"), .body("rs2")].contains($0) })
      var answers = try Self.steps.map { step in
        let (method, target) = Self.words(step.0)
        let answer = try Curl(on: director).ask(method, target, step.body)
        #expect(answer.status == step.status, "\(step.0): \(answer.content)")
        return answer
      }
      let document = try director.get("openapi.json")
      #expect(answers[6].content.contains(#""clientAddress":"10.0.0.2""#), "\(answers[6])")
      let isSeen = try waitUntil {
        try numbers("successes", in: director.get("checks")).allSatisfy { $0 > 1 }
      }
      #expect(isSeen)
      try Self.overTLS(director, secrets, &answers)
      try Self.scrapes(director, secrets, served)
      try Self.renewal(director, secrets, path)
      answers.append(try Curl(on: director).ask("DELETE", "/v1/services"))
      let verdict = try AnswerValidator.verdict(on: answers, by: document)
      #expect(verdict.complaints == [])
      #expect(verdict.operations.subtracting(verdict.succeeded) == [])
      #expect(!director.process.output.contains(secrets.word))
    }

    private static func words(_ step: String) -> (String, String) {
      let words = step.split(separator: " ").map(String.init)
      return (words[0], words[1])
    }

    /// The same answers to who has the token, and nothing to others.
    private static func overTLS(
      _ director: RunningDirector, _ secrets: Secrets, _ answers: inout [APIAnswer]
    ) throws {
      let curl = Curl(on: director, "https://\(endpoint)", ["--cacert", secrets.certificate])
      let token = "Authorization: Bearer \(secrets.word)"
      let welcome = try curl.ask("GET", "/v1/services", options: ["-H", token])
      #expect(welcome.status == 200, "\(welcome)")
      let nobody = try curl.ask("GET", "/v1/services")
      #expect(nobody.status == 401 && nobody.content.contains("send `Authorization: Bearer"))
      #expect(nobody.head.contains("WWW-Authenticate: Bearer realm=\"martinet\"\r\n"))
      let wrong = try curl.ask("DELETE", "/v1/services", options: ["-H", token + "x"])
      #expect(wrong.status == 401 && wrong.head.contains("error=\"invalid_token\""))
      let scrape = try curl.ask("GET", "/metrics", options: ["-H", token])
      #expect(scrape.status == 200 && scrape.content.contains("martinet_"))
      let plain = try Curl(on: director, "http://\(endpoint)", []).ask("GET", "/v1/services")
      #expect(plain.status == 400 && plain.content.contains("ask for https://"))
      answers += [welcome, nobody, wrong, scrape]
      // 60: its authority is unknown; 35: the server speaks no TLS as old.
      let stranger = Curl(on: director, "https://\(endpoint)", [])
      #expect(try stranger.ending("/v1/services") == .exit(60))
      let old = Curl(on: director, "https://\(endpoint)", ["-k", "--tls-max", "1.1"])
      #expect(try old.ending("/v1/services") == .exit(35))
    }

    /// A thousand at once: each is answered, or told to come again (503); packets are forwarded,
    /// memory stays.
    private static func scrapes(
      _ director: RunningDirector, _ secrets: Secrets, _ served: ServedLan
    ) throws {
      let before = try memory(of: director)
      // A curl of Debian 12 does 300 at a time.
      let script = """
        for part in 1 2 3 4 5; do
          curl -skZ --stderr /dev/null --parallel-immediate --parallel-max 200 -m 60 -o /dev/null \
            -w '%{http_code}\\n' -H "Authorization: Bearer $1" "https://$2/metrics#[1-200]" &
        done
        wait
        """
      let crowd = try director.host.start([
        "bash", "-c", script, "scrapes", secrets.word, endpoint,
      ])
      let replies = try served.ask(5)
      #expect(replies.allSatisfy { [.body("rs1"), .body("rs2")].contains($0) }, "\(replies)")
      #expect(crowd.wait(seconds: 90) != nil)
      let statuses = Dictionary(grouping: crowd.output.split(separator: "\n")) { $0 }
        .mapValues(\.count)
      #expect(statuses.values.reduce(0, +) == 1000, "\(statuses)")
      #expect(Set(statuses.keys).isSubset(of: ["200", "503"]), "\(statuses)")
      #expect(statuses["200", default: 0] > 0, "\(statuses)")
      let growth = try memory(of: director) - before
      #expect(growth < 128 << 10, "\(growth) KiB more")
    }

    /// The most that it ever had, KiB.
    private static func memory(of director: RunningDirector) throws -> Int {
      let status = try String(
        contentsOfFile: "/proc/\(director.process.pid)/status", encoding: .utf8)
      #expect(status.hasPrefix("Name:\tmartinet\n"))
      let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
      return Int(line.split(separator: " ").dropFirst().first ?? "") ?? 0
    }

    /// A reload takes a new certificate and token, or nothing at all.
    private static func renewal(
      _ director: RunningDirector, _ secrets: Secrets, _ path: String
    ) throws {
      let (old, oldWord) = (secrets.folder + "/old", secrets.word)
      try FileManager.default.copyItem(atPath: secrets.certificate, toPath: old)
      func status(_ authority: String, _ word: String) throws -> Int {
        try Curl(on: director, "https://\(endpoint)", ["--cacert", authority])
          .ask("GET", "/v1/timeouts", options: ["-H", "Authorization: Bearer \(word)"]).status
      }
      #expect(try Curl(on: director).ask("POST", "/v1/configuration/save").status == 200)
      try secrets.make()
      chmod(secrets.token, 0o644)
      let refused = try Curl(on: director).ask("POST", "/v1/configuration/reload", "{}")
      #expect(refused.status == 422 && refused.content.contains("chmod 640"), "\(refused)")
      #expect(try status(old, oldWord) == 200)
      chmod(secrets.token, 0o640)
      director.process.send(SIGHUP)
      #expect(try waitUntil { try status(secrets.certificate, secrets.word) == 200 })
      #expect(try status(secrets.certificate, oldWord) == 401)
      #expect(!director.process.output.contains(oldWord))
      #expect(try status(old, secrets.word) == 0)
    }

    @Test func anAddressOfTheNetworkNeedsTLS() throws {
      let secrets = try Secrets()
      let path = secrets.folder + "/martinet.yaml"
      try """
      interface: {name: lan0}
      api: {listen: "192.168.1.150:9750", token-file: \(secrets.token)}
      """.write(toFile: path, atomically: true, encoding: .utf8)
      let (ending, output) = try Child.run([
        RunningDirector.executable, "config", "check", path,
      ])
      #expect(ending == .exit(65))
      #expect(output.contains("line 2: api: without TLS the token would cross"), "\(output)")
    }
  }
}

/// Asks the API of a director with curl on its host.
private struct Curl {
  private let director: RunningDirector
  private let origin: String
  private let options: [String]

  /// Over the Unix socket.
  init(on director: RunningDirector) {
    self.init(on: director, "http://martinet", ["--unix-socket", director.controlPath])
  }

  init(on director: RunningDirector, _ origin: String, _ options: [String]) {
    self.director = director
    self.origin = origin
    self.options = options
  }

  /// A status of 0 is no answer.
  func ask(
    _ method: String, _ target: String, _ body: String = "", options: [String] = []
  ) throws -> APIAnswer {
    let head = method == "HEAD" ? ["-I"] : ["-X", method, "-D", "-"]
    let json = body.isEmpty ? [] : ["--json", body]
    let output = try director.host.finish(
      command(head + json + options, target), seconds: 40
    ).output
    let end = output.range(of: "\r\n\r\n")
    let lines = output[..<(end?.lowerBound ?? output.startIndex)].components(separatedBy: "\r\n")
    let words = lines[0].split(separator: " ")
    let type = lines.first { $0.hasPrefix("Content-Type: ") }?.dropFirst(14) ?? ""
    return APIAnswer(
      method: method, target: target, request: body,
      status: words.count > 1 ? Int(words[1]) ?? 0 : 0, type: String(type),
      content: end.map { String(output[$0.upperBound...]) } ?? "",
      head: lines.joined(separator: "\r\n") + "\r\n")
  }

  func ending(_ target: String) throws -> Child.Ending {
    try director.host.finish(command([], target), seconds: 40).ending
  }

  private func command(_ more: [String], _ target: String) -> [String] {
    ["curl", "-sg", "-m", "30"] + options + more + [origin + target]
  }
}
