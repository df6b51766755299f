// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import Foundation
import TestSupport
import Testing

@testable import AdminServer
@testable import DataPlane

/// The HTTP interface by itself.
@Suite struct RoutesTests {
  /// Requests in order, with the status and a part of what each is answered; all as the OpenAPI
  /// document says.
  private func expect(_ steps: [(String, body: String, status: Int, part: String)]) async throws {
    try await AdminDesk.serve { desk in
      let path = desk.socketPath
      var answers: [APIAnswer] = []
      for step in steps {
        let words = step.0.split(separator: " ").map(String.init)
        let answer = await onThread {
          RawClient.request(words[0], words[1], body: step.body, at: path)
        }
        let text = answer?.text
        #expect(answer?.status == step.status, "\(step.0): \(text ?? "nothing")")
        #expect(text?.contains(step.part) == true || step.part.isEmpty, "\(step.0): \(text ?? "")")
        if step.status >= 400 {
          #expect(answer?.headers["content-type"] == "application/problem+json", "\(step.0)")
        }
        answers.append(
          APIAnswer(
            method: words[0], target: words[1], request: step.body, status: answer?.status ?? 0,
            type: answer?.headers["content-type"] ?? "", content: text ?? ""))
      }
      let document = await onThread { RawClient.get("/v1/openapi.json", at: path)?.text ?? "" }
      let verdict = try AnswerValidator.verdict(on: answers, by: document)
      #expect(verdict.complaints == [])
    }
  }

  private static let web =
    #"{"service":{"protocol":"tcp","address":"192.168.1.149","port":80},"scheduler":"rr"}"#
  private static let server = #"{"realServer":{"address":"192.168.1.151","port":80},"weight":3}"#
  private static let webPath = "/v1/services/tcp/192.168.1.149/80"
  private static let serverPath = webPath + "/real-servers/192.168.1.151/80"

  @Test func servicesAndRealServers() async throws {
    try await expect([
      ("GET /v1/services", "", 200, #""services":[]"#),
      ("POST /v1/services", Self.web, 201, #""scheduler":"rr""#),
      ("POST /v1/services", Self.web, 409, #""errorNumber":17"#),
      ("GET \(Self.webPath)", "", 200, #""realServers":[]"#),
      ("PATCH \(Self.webPath)", #"{"scheduler":"wrr"}"#, 200, #""scheduler":"wrr""#),
      ("POST \(Self.webPath)/real-servers", Self.server, 201, #""weight":3"#),
      ("POST \(Self.webPath)/real-servers", Self.server, 409, "already in service"),
      ("GET \(Self.webPath)/real-servers", "", 200, #""macAddress":"02:00:00:00:00:01""#),
      ("GET \(Self.serverPath)", "", 200, #""isResolved":true"#),
      ("PATCH \(Self.serverPath)", #"{"weight":0}"#, 200, #""weight":0"#),
      ("POST \(Self.webPath)/zero", "", 204, ""), ("POST /v1/zero", "", 204, ""),
      ("DELETE \(Self.serverPath)", "", 204, ""),
      ("DELETE \(Self.serverPath)", "", 404, #""errorNumber":2"#),
      ("GET \(Self.serverPath)", "", 404, "add it first"),
      ("DELETE \(Self.webPath)", "", 204, ""),
      ("DELETE \(Self.webPath)", "", 404, #""errorNumber":3"#),
      ("DELETE /v1/services", "", 204, ""),
      ("GET /v1/checks", "", 200, "[]"), ("POST /v1/checks", "", 405, "does not take"),
    ])
  }

  /// Adding takes the rest from the protocol, changing leaves it as it is.
  @Test func policies() async throws {
    let policy = #"{"quiescentClients":"keep","removal":"purge","stray":"reset","ttl":"preserve"}"#
    let dropped = policy.replacing("reset", with: "drop")
    try await expect([
      (
        "POST /v1/services", Self.web.dropLast() + #","policy":{"removal":"purge"}}"#, 201,
        #""policy":"# + policy
      ),
      ("PATCH \(Self.webPath)", #"{"scheduler":"wrr"}"#, 200, policy),
      (
        "PATCH \(Self.webPath)", #"{"scheduler":"wrr","policy":{"stray":"drop"}}"#, 200, dropped
      ),
      (
        "PATCH \(Self.webPath)", #"{"scheduler":"wrr","policy":{"ttl":"two"}}"#, 400,
        #"policy.ttl is wrong: \"two\" is none of preserve, decrement, one: give what"#
      ),
      ("GET \(Self.webPath)", "", 200, dropped),
    ])
  }

  @Test func neighbors() async throws {
    try await expect([
      ("GET /v1/neighbors", "", 200, "[]"), ("POST /v1/neighbors", "", 405, ""),
      ("POST /v1/services", Self.web, 201, ""),
      ("POST \(Self.webPath)/real-servers", Self.server, 201, ""),
      (
        "GET /v1/neighbors", "", 200,
        #""changes":0,"isDuplicate":false,"isFlapping":false,"macAddress":"02:00:00:00:00:01""#
      ),
      ("GET /v1/neighbors", "", 200, #""silences":0,"state":"resolved"}]"#),
    ])
  }

  @Test func drains() async throws {
    let path = "/v1/drains"
    let server = #"{"address":"192.168.1.151"}"#
    let all = #""service":{"address":"192.168.1.149","port":80,"protocol":"tcp"},"then":"purge"}]"#
    try await expect([
      ("GET \(path)", "", 200, "[]"),
      ("POST \(path)", server, 404, "no service has a real server 192.168.1.151"),
      ("POST /v1/services", Self.web, 201, ""),
      ("POST \(Self.webPath)/real-servers", Self.server, 201, ""),
      ("DELETE \(path)/192.168.1.151", "", 404, "does not drain"),
      (
        "POST \(path)", server.dropLast() + #","deadlineSeconds":60,"then":"purge"}"#, 201,
        #""phase":"empty""#
      ),
      ("GET \(path)", "", 200, all),
      ("GET \(Self.serverPath)", "", 200, #""drain":"empty""#),
      ("GET \(Self.serverPath)", "", 200, #""weight":3"#),
      ("POST \(path)", server.dropLast() + #","deadlineSeconds":0}"#, 400, "out of range"),
      ("POST \(path)", server.dropLast() + #","then":"rehash"}"#, 400, "give deadlineSeconds"),
      ("POST \(path)", server.dropLast() + #","then":"drop"}"#, 400, "none of"),
      ("PUT \(path)", "", 405, ""), ("DELETE \(path)/x", "", 404, "no such path"),
      ("DELETE \(path)/192.168.1.151/tcp/192.168.1.149/81", "", 404, "no service"),
      ("DELETE \(path)/192.168.1.151/tcp/192.168.1.149/80", "", 204, ""),
      ("GET \(path)", "", 200, "[]"),
    ])
  }

  @Test func ipv6InPaths() async throws {
    let body =
      #"{"service":{"protocol":"udp","address":"2001:db8::149","port":53},"scheduler":"wrr"}"#
    try await expect([
      ("POST /v1/services", body, 201, "2001:db8::149"),
      ("GET /v1/services/udp/2001:db8::149/53", "", 200, #""protocol":"udp""#),
      ("GET /v1/services/udp/2001%3Adb8%3A%3A149/53?", "", 200, #""port":53"#),
    ])
  }

  @Test func timeoutsAndConnections() async throws {
    try await expect([
      ("GET /v1/timeouts", "", 200, #"{"tcp":900,"tcpFin":120,"udp":300}"#),
      ("PATCH /v1/timeouts", #"{"tcp":60,"tcpFin":0,"udp":0}"#, 200, #""tcp":60,"tcpFin":120"#),
      ("PATCH /v1/timeouts", #"{"tcp":4000000000,"tcpFin":0,"udp":0}"#, 422, "out of range"),
      ("GET /v1/connections", "", 200, #"{"connections":[]}"#),
      ("GET /v1/connections?from=18446744073709551615&limit=1", "", 200, #""connections":[]"#),
      ("GET /v1/connections?limit=0", "", 400, "give 1 to 10000"),
      ("GET /v1/connections?limit=10001", "", 400, "give 1 to 10000"),
      ("GET /v1/connections/count", "", 200, #"{"connections":0}"#),
      ("GET /v1/connections/count?from=x", "", 400, "not a number"),
      ("POST /v1/connections/count", "", 405, ""), ("GET /v1/connections/x", "", 404, ""),
      (
        "GET /v1/connections?clinet=10.0.0.1", "", 400,
        "query's clinet is no known field: the nearest is `client`"
      ),
      (
        "GET /v1/connections/count?limit=1", "", 400, "query's limit is no known field: the nearest"
      ),
      ("GET /v1/connections?Client=10.0.0.1", "", 400, "the nearest is `client`"),
      (
        "POST /v1/commands?mroe=true", "[]", 400,
        "query's mroe is no known field: the nearest is `more`"
      ),
      ("POST /v1/commands?more=yes", "[]", 400, "is neither true nor false: give one"),
      ("DELETE /v1/services?address=192.168.1.149", "", 400, "is no known field: leave it out"),
      ("HEAD /v1/services?x", "", 400, ""), ("GET /metrics?name=x", "", 200, "# HELP"),
      ("GET /v1/connections?client=10.0.0.0%2F33", "", 400, "is no prefix: give one as"),
      ("GET /v1/connections?state=TCP", "", 400, "is no state: give some of ASSURED C-ECHOED "),
      ("GET /v1/connections?service=tcp/192.168.1.149/80", "", 404, "there is no service TCP"),
      ("GET /v1/connections?real-server=192.168.1.151", "", 404, "no service has a real server"),
      ("GET /v1/connections?from=x", "", 400, "not a number"),
    ])
  }

  @Test func queues() async throws {
    try await expect([
      (
        "GET /v1/queues", "", 200,
        #""statistics":{"connections":0,"inBytes":0,"inPackets":0},"unrecorded":0"#
      ), ("POST /v1/queues", "", 405, ""),
    ])
    var statistics = QueueStatistics(
      queue: 1,
      sockets: [
        SocketStatistics(
          interface: "lan0", worker: [.received: 7], socket: XDPStatistics(rxRingFull: 2)),
        SocketStatistics(
          interface: "lan1", worker: [.received: 2, .dropped: 1],
          socket: XDPStatistics(rxRingFull: 1)),
      ],
      drops: [.noService: 3], dropBytes: [.noService: 180], sideTraffic: [.laterFragment: 6],
      ipv4Connections: 4,
      ipv6Connections: 5, ipv4Entries: 8, ipv6Entries: 16, unrecorded: 9,
      evictions: EvictionAges(counts: [0, 2, 1, 0, 0]))
    (statistics.forwarded.connections, statistics.forwarded.bytes) = (11, 12)
    var rates = QueueRates()
    rates.forwarded = Rates(connections: 13, inPackets: 14, inBytes: 15)
    let report = QueueReport(statistics, rates)
    #expect(report.statistics == Counters(connections: 11, inBytes: 12))
    #expect(report.rates == Counters(connections: 13, inPackets: 14, inBytes: 15))
    #expect(report.interfaces.map(\.name) == ["lan0", "lan1"])
    #expect(report.interfaces[1].worker == ["received": 2, "dropped": 1])
    #expect(report.worker == ["received": 9, "dropped": 1])
    #expect(report.drops == ["noService": 3] && report.dropBytes == ["noService": 180])
    #expect(report.sideTraffic == ["laterFragment": 6])
    #expect(report.ipv4Entries == 8 && report.ipv6Entries == 16 && report.unrecorded == 9)
    #expect(report.evictions.map(\.belowSeconds) == [4, 8, 16, 32, 64])
    #expect(report.evictions.map(\.connections) == [0, 2, 1, 0, 0])
    #expect(
      [report].text == """
        Queue  Interface  Received  Forwarded  Answered  Dropped  IPv4 records  IPv6 records  \
        Unrecorded  Evicted  after
            1       lan0         7          0         0        0       4/8 50%      5/16 31%  \
                 9        3  4-8 s
            1       lan1         2          0         0        1

        """)
    #expect(report.socket.rxRingFull == 3 && report.queue == 1 && report.ipv6Connections == 5)
  }

  @Test func program() async throws {
    try await expect([
      ("GET /v1/program", "", 200, #""withoutSocket":0"#), ("POST /v1/program", "", 405, ""),
    ])
    let counters = ProgramCounters(
      services: 1, fragments: 2, icmpErrors: 3, withoutSocket: 4, otherHost: 5, malformed: 6)
    #expect(
      ProgramReport(counters)
        == ProgramReport(
          services: 1, fragments: 2, icmpErrors: 3, withoutSocket: 4, otherHost: 5, malformed: 6))
  }

  @Test func commandsGoOnAfterARefusal() async throws {
    let commands = #"""
      [{"addService":{"service":{"protocol":"tcp","address":"192.168.1.149","port":80},
        "scheduler":"rr"}},
       {"deleteService":{"service":{"protocol":"tcp","address":"192.168.1.149","port":81}}},
       {"addRealServer":{"service":{"protocol":"tcp","address":"192.168.1.149","port":80},
        "realServer":{"address":"10.9.9.9","port":80},"weight":1}},
       {"zero":{}}]
      """#
    try await expect([
      ("POST /v1/commands", "[]", 200, #"{"failures":[]}"#),
      ("POST /v1/commands", commands, 200, #""index":1"#),
      ("POST /v1/commands", commands, 200, "is behind gateway 192.168.1.1"),
      ("GET \(Self.webPath)", "", 200, #""realServers":[]"#),
    ])
  }

  @Test func wrongRequests() async throws {
    try await expect([
      ("GET /", "", 404, "no such path"), ("GET /v2/services", "", 404, ""),
      ("GET /v1/nonsense", "", 404, ""), ("GET /v1/services/tcp", "", 404, ""),
      ("GET /v1/services/dccp/192.168.1.149/80", "", 404, ""),
      ("GET /v1/services/tcp/192.168.1.300/80", "", 404, ""),
      ("GET /v1/services/tcp/192.168.1.149/65536", "", 404, ""),
      ("GET /v1/services/tcp/192.168.1.149%00/80", "", 404, ""),
      ("GET \(Self.webPath)/x/y/z", "", 404, ""), ("PUT /v1/services", Self.web, 405, ""),
      ("POST \(Self.webPath)", "", 405, ""), ("DELETE /v1/timeouts", "", 405, ""),
      ("POST /v1/services", "", 400, "body is wrong"), ("POST /v1/services", "{", 400, ""),
      ("POST /v1/services", "[]", 400, ""),
      ("POST /v1/services", #"{"service":1}"#, 400, "the request's service is wrong"),
      ("POST /v1/services", Self.web.replacing("rr", with: "xx"), 400, "scheduler is wrong"),
      ("POST /v1/services", Self.web.replacing("80", with: "65536"), 400, "service.port"),
      ("POST /v1/services", Self.web.replacing("149", with: "999"), 400, "not an IP address"),
      ("POST /v1/services", Self.web.replacing("149", with: #"149\u0000"#), 400, "not an IP"),
      ("POST /v1/services", Self.web.replacing("tcp", with: "dccp"), 400, "none of"),
      ("POST /v1/services", Self.web.replacing("80", with: "0"), 422, "port 0"),
      ("POST /v1/services", String(repeating: "[", count: 100_000), 400, "body is wrong"),
      ("POST /v1/services", Self.web, 201, ""),
      (
        "PATCH \(Self.webPath)/real-servers/192.168.1.151/80", #"{"weight":-1}"#, 400,
        "the request's weight is out of range: give 0 to 2147483647"
      ),
      (
        "POST /v1/commands",
        #"[{"clear":{}},{"setTimeouts":{"_0":{"tcp":1,"tcpFin":4294967296 ,"udp":1}}}]"#, 400,
        "the request's [1].setTimeouts._0.tcpFin is out of range: give 0 to 4294967295"
      ),
      ("POST \(Self.webPath)/real-servers", Self.server.replacing("80", with: "81"), 422, "ports"),
      (
        "POST \(Self.webPath)/real-servers", Self.server.replacing("3", with: "2147483648"), 422,
        "out of range"
      ),
    ])
  }

  /// What is misspelt is not what is left out: it is named, with what was meant, and nothing is
  /// changed.
  @Test func unknownFieldsAreNamed() async throws {
    let (service, server) = (Self.web.dropLast(), Self.server.dropLast())
    let command = #"[{"zero":{}},{"addService":\#(service),"polici":{"ttl":"one"}}}]"#
    try await expect([
      ("POST /v1/services", service + #","flag":[]}"#, 400, "flag is no known field: the nearest"),
      ("POST /v1/services", service + #", "policy" : {"tll":"one"}}"#, 400, "nearest is `ttl`"),
      ("POST /v1/services", service + #","policy":{"tt\u006c":"one"}}"#, 201, #""ttl":"one""#),
      (
        "POST \(Self.webPath)/real-servers", server + #","thresholds":{"uper":1,"lower":0}}"#, 400,
        "thresholds"
      ),
      (
        "POST \(Self.webPath)/real-servers", server + #","treshold":{"upper":1,"lower":0}}"#, 400,
        "the request's treshold is no known field: the nearest is `thresholds`"
      ),
      ("GET \(Self.webPath)/real-servers", "", 200, "[]"),
      (
        "POST /v1/commands", command, 400,
        "the request's [1].addService.polici is no known field: the nearest is `policy`"
      ),
      (
        "POST /v1/commands", #"[{"zero":{"servise":{}}}]"#, 400,
        "[0].zero.servise is no known field: the nearest is `service`"
      ),
      ("POST /v1/commands", #"[{"clear":{"all":1}}]"#, 400, "all is no known field: leave it out"),
      ("PATCH /v1/timeouts", #"{"tcp":0,"tcpFin":0,"udp":0,"scp":9}"#, 400, "nearest is `tcp`"),
      ("POST /v1/drains", #"{"address":"192.0.2.1","deadlineSecond":9}"#, 400, "deadlineSeconds`"),
    ])
  }

  /// Damaged requests by seed: always an answer, never a trap.
  @Test func damagedCommandsAreAnswered() async throws {
    let plane = try InProcessPlane()
    let routes = Routes(
      director: .init(
        plane: plane, neighbors: StatedNeighbors.site(), logger: .init(label: "test")))
    var seed = Seed(30)
    let whole = Array("[{\"addService\":\(Self.web)},{\"addRealServer\":\(Self.server)}]".utf8)
    for _ in 0..<500 {
      var octets = whole
      for _ in 0...Int.random(in: 0...4, using: &seed) {
        let place = Int.random(in: 0..<octets.count, using: &seed)
        switch Int.random(in: 0...2, using: &seed) {
        case 0: octets[place] = UInt8.random(in: 0...255, using: &seed)
        case 1: octets.remove(at: place)
        default: octets.insert(contentsOf: "{[\"9".utf8, at: place)
        }
      }
      let request = Request(
        head: .init(version: .http1_1, method: .POST, uri: "/v1/commands"), body: Data(octets))
      let response = await routes.respond(to: request)
      #expect([200, 400].contains(response.status.code), "seed \(seed.seed)")
    }
  }
}
