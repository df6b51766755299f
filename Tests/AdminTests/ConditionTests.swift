// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import AdminServer

/// RFC 9110 §13.1: entity tags against lost updates, and for answers that a client has already.
@Suite struct ConditionTests {
  private static let web =
    #"{"service":{"protocol":"tcp","address":"192.168.1.149","port":80},"scheduler":"rr"}"#
  private static let names = web.replacing("80", with: "53")
  private static let path = "/v1/services/tcp/192.168.1.149/80"

  private func serve(_ body: @escaping @Sendable (API) -> Void) async throws {
    try await AdminDesk.serve { desk in
      let api = API(path: desk.socketPath)
      await onThread { body(api) }
    }
  }

  private struct API: Sendable {
    let path: String

    func callAsFunction(
      _ method: String, _ target: String, _ body: String = "", _ fields: [String: String] = [:]
    ) -> RawClient.Answer {
      RawClient.request(method, target, body: body, fields: fields, at: path)!
    }

    func tag(_ target: String) -> String { self("GET", target).headers["etag"] ?? "none" }
  }

  @Test func aChangeOfWhatWasChangedMeanwhileIsRefused() async throws {
    try await serve { api in
      let created = api("POST", "/v1/services", Self.web)
      let tag = api.tag(Self.path)
      #expect(created.headers["etag"] == tag && tag.hasPrefix("\"") && tag.hasSuffix("\""))
      let mine = api("PATCH", Self.path, #"{"scheduler":"wrr"}"#, ["If-Match": tag])
      #expect(mine.status == 200 && mine.headers["etag"] == api.tag(Self.path))
      let theirs = api("PATCH", Self.path, #"{"scheduler":"lc"}"#, ["If-Match": tag])
      #expect(theirs.status == 412 && theirs.text.contains("get it again"))
      #expect(theirs.headers["content-type"] == "application/problem+json")
      #expect(api("DELETE", Self.path, "", ["If-Match": tag]).status == 412)
      #expect(api("GET", Self.path).text.contains(#""scheduler":"wrr""#))
      // RFC 9110 §13.1.1: a weak tag never matches, one of several does, * any that is there.
      let now = api.tag(Self.path)
      let change = #"{"scheduler":"wrr"}"#
      #expect(api("PATCH", Self.path, change, ["If-Match": "W/" + now]).status == 412)
      #expect(api("PATCH", Self.path, change, ["If-Match": "\(tag), \(now)"]).status == 200)
      #expect(api("PATCH", Self.path, change, ["If-Match": "*"]).status == 200)
      #expect(api("PATCH", Self.path, change, ["If-None-Match": "*"]).status == 412)
      #expect(api("DELETE", Self.path, "", ["If-Match": now]).status == 412, "changed to the same")
      let last = api.tag(Self.path)
      #expect(api("DELETE", Self.path, "", ["If-Match": last]).status == 204)
      #expect(api("DELETE", Self.path, "", ["If-Match": last]).status == 404)
      #expect(api("POST", "/v1/services", Self.web).status == 201)
      #expect(api("DELETE", Self.path, "", ["If-Match": last]).status == 412, "another service")
    }
  }

  /// What was changed and changed back is not what somebody decided by, nor is the same in another
  /// process.
  @Test func noTagComesTwice() async throws {
    func tags(_ body: @escaping @Sendable (API, [String]) -> Void) async throws {
      try await serve { api in
        _ = api("POST", "/v1/services", Self.web)
        body(api, ["/v1/services", Self.path, "/v1/timeouts"].map(api.tag))
      }
    }
    let first = Mutex<[String]>([])
    try await tags { api, tags in
      first.withLock { $0 = tags }
      for scheduler in ["wrr", "rr"] {
        _ = api("PATCH", Self.path, "{\"scheduler\":\"\(scheduler)\"}")
      }
      let change = #"{"scheduler":"lc"}"#
      #expect(api("PATCH", Self.path, change, ["If-Match": tags[1]]).status == 412)
      #expect(api("DELETE", "/v1/services", "", ["If-Match": tags[0]]).status == 412)
    }
    try await tags { api, tags in
      let before = first.withLock { $0 }
      #expect(Set(tags).isDisjoint(with: before))
      #expect(api("DELETE", Self.path, "", ["If-Match": before[1]]).status == 412)
      let same = #"{"tcp":900,"tcpFin":120,"udp":300}"#
      #expect(api("PATCH", "/v1/timeouts", same, ["If-Match": before[2]]).status == 412)
    }
  }

  /// Packets move figures, with which no decision of an operator is lost.
  @Test func figuresAreNoChange() async throws {
    try await AdminDesk.serve { desk in
      let api = API(path: desk.socketPath)
      let server = #"{"realServer":{"address":"192.168.1.151","port":80},"weight":3}"#
      await onThread {
        _ = api("POST", "/v1/services", Self.web)
        #expect(api("POST", Self.path + "/real-servers", server).status == 201)
      }
      let before = await onThread { api.tag(Self.path) }
      #expect(
        desk.plane.forward(PacketBuilder(from: "10.0.0.1", to: "192.168.1.149")).verdict.isForward)
      await onThread {
        #expect(api("GET", Self.path, "", ["If-None-Match": before]).status == 200)
        let change = #"{"scheduler":"lc"}"#
        #expect(api("PATCH", Self.path, change, ["If-Match": before]).status == 200)
      }
    }
  }

  @Test func aDrainEndsWithItsRealServer() async throws {
    try await serve { api in
      _ = api("POST", "/v1/services", Self.web)
      let server = #"{"realServer":{"address":"192.168.1.151","port":80},"weight":3}"#
      _ = api("POST", Self.path + "/real-servers", server)
      #expect(api("POST", "/v1/drains", #"{"address":"192.168.1.151"}"#).status == 201)
      let (drains, marks) = (api.tag("/v1/drains"), api.tag("/v1/marks"))
      #expect(api("DELETE", Self.path + "/real-servers/192.168.1.151/80").status == 204)
      #expect(api.tag("/v1/drains") != drains && api.tag("/v1/marks") == marks)
      _ = api("POST", Self.path + "/real-servers", server)
      let stale = ["If-Match": drains]
      #expect(api("POST", "/v1/drains", #"{"address":"192.168.1.151"}"#, stale).status == 412)
    }
  }

  /// RFC 9110 §12.5.5 and §15.4.5: no cache gives one form to who asks for the other.
  @Test func whatAcceptChoosesVariesByIt() async throws {
    try await serve { api in
      for path in ["/v1/services", "/v1/connections", "/v1/timeouts"] {
        let isChosen = path != "/v1/timeouts"
        for accept in ["application/json", "text/csv"] {
          let answer = api("GET", path, "", ["Accept": accept])
          #expect(answer.headers["vary"] == (isChosen ? "Accept" : nil), "\(path) \(accept)")
          let type = answer.headers["content-type"] ?? ""
          #expect(type.hasPrefix(isChosen ? accept : "application/json"), "\(path) \(type)")
        }
      }
      let (json, rows) = (["Accept": "application/json"], ["Accept": "text/csv"])
      let tags = [json, rows].map { api("GET", "/v1/services", "", $0).headers["etag"] ?? "" }
      #expect(tags[0] != tags[1])
      let condition = ["If-None-Match": tags[1]]
      let again = api("GET", "/v1/services", "", rows.merging(condition) { $1 })
      #expect(again.status == 304 && again.headers["vary"] == "Accept")
      #expect(api("GET", "/v1/services", "", json.merging(condition) { $1 }).status == 200)
    }
  }

  /// RFC 9110 §12.5.1: the most exact range gives a type its weight, and 0 is a no.
  @Test func theWeightsOfAcceptCount() async throws {
    let cases: [(accept: String, isCSV: Bool)] = [
      ("", false), ("*/*", false), ("text/*", true), ("Text/CSV; header=absent", true),
      ("text/csv;q=0", false), ("text/csv;Q=0.000", false), ("text/csv;q=0, */*;q=0.1", false),
      ("text/csv;q=0.9, application/json", false), ("text/csv;q=0.9, application/json;q=0.8", true),
      ("application/json;q=0.2, */*;q=0.4", true), ("text/*;q=0.1, text/csv, */*;q=0.9", true),
      ("text/*, text/csv;q=0.1, application/*;q=0.2", false), ("text/csv, */*", true),
      ("text/csv, application/json", false), ("application/json;q=0, text/*;q=0.001", true),
      ("image/png", false), ("text/csv;q=2", false), ("text/csv;q=", false), (",;,text/csv;", true),
      ("text/csvx, xtext/csv", false),
    ]
    try await serve { api in
      for (accept, isCSV) in cases {
        let type = api("GET", "/v1/services", "", ["Accept": accept]).headers["content-type"] ?? ""
        #expect(type.hasPrefix(isCSV ? "text/csv" : "application/json"), "\(accept): \(type)")
      }
    }
  }

  /// Each resource by itself: who changes one does not disturb another, nor do figures.
  @Test func everyChangeableResourceHasItsTag() async throws {
    try await serve { api in
      _ = api("POST", "/v1/services", Self.web)
      let server = #"{"realServer":{"address":"192.168.1.151","port":80},"weight":3}"#
      let serverPath = Self.path + "/real-servers/192.168.1.151/80"
      #expect(api("POST", Self.path + "/real-servers", server).headers["etag"] != nil)
      let paths = [
        "/v1/services", Self.path, Self.path + "/real-servers", serverPath, "/v1/timeouts",
        "/v1/marks", "/v1/drains",
      ]
      let before = paths.map(api.tag)
      #expect(Set(before).count == paths.count && !before.contains("none"))
      #expect(paths.map(api.tag) == before)
      let mark = #"""
        [{"addToMark":{"mark":1,"ports":{"protocol":"tcp","address":"192.168.1.148","ports":"81"}}}]
        """#
      let changes = [
        ("POST", "/v1/services", Self.names, 201),
        ("PATCH", Self.path, #"{"scheduler":"lc"}"#, 200),
        ("POST", Self.path + "/real-servers", server.replacing("151", with: "152"), 201),
        ("PATCH", serverPath, #"{"weight":4}"#, 200),
        ("PATCH", "/v1/timeouts", #"{"tcp":60,"tcpFin":0,"udp":0}"#, 200),
        ("POST", "/v1/commands", mark, 200),
        ("POST", "/v1/drains", #"{"address":"192.168.1.151"}"#, 201),
      ]
      for (index, (method, path, body, status)) in changes.enumerated() {
        let stale = ["If-Match": before[index]]
        #expect(api(method, path, body).status == status)
        guard path != "/v1/commands" else { continue }
        #expect(api(method, path, body, stale).status == 412, "\(method) \(path)")
      }
      #expect(zip(paths.map(api.tag), before).allSatisfy { $0 != $1 })
      #expect(api("POST", "/v1/commands", "[]", ["If-Match": before[0]]).status == 412)
      #expect(api("DELETE", "/v1/services", "", ["If-Match": before[0]]).status == 412)
    }
  }

  @Test func whatTheClientHasIsNotSentAgain() async throws {
    try await serve { api in
      for path in ["/v1/timeouts", "/v1/services", "/v1/openapi.json"] {
        let tag = api.tag(path)
        let again = api("GET", path, "", ["If-None-Match": tag])
        #expect(again.status == 304 && again.content.isEmpty && again.headers["etag"] == tag)
        #expect(api("GET", path, "", ["If-None-Match": "\"x\", W/\(tag)"]).status == 304)
        #expect(api("GET", path, "", ["If-None-Match": "\"x\""]).status == 200)
      }
      let head = api("HEAD", "/v1/timeouts")
      #expect(head.status == 200 && head.content.isEmpty)
      #expect(head.headers["content-length"] == "\(api("GET", "/v1/timeouts").content.count)")
    }
  }

  /// Two operators add to one number by turns, each from what it has seen: all is in the sum.
  @Test func twoWhoRaceLoseNothing() async throws {
    try await AdminDesk.serve { desk in
      let api = API(path: desk.socketPath)
      let turns = 20
      async let one = onThread { Self.add(turns, api) }
      async let other = onThread { Self.add(turns, api) }
      let refused = await one + other
      let sum = await onThread { api("GET", "/v1/timeouts").text }
      #expect(sum.contains("\"tcp\":\(900 + 2 * turns),"), "\(sum), \(refused) refused")
    }
  }

  /// Adds `count` times one second; says how often it was refused.
  private static func add(_ count: Int, _ api: API) -> Int {
    var refused = 0
    for _ in 0..<count {
      while true {
        let seen = api("GET", "/v1/timeouts")
        let seconds = Int(seen.text.split(separator: ":")[1].split(separator: ",")[0])!
        let body = "{\"tcp\":\(seconds + 1),\"tcpFin\":0,\"udp\":0}"
        if api("PATCH", "/v1/timeouts", body, ["If-Match": seen.headers["etag"]!]).status == 200 {
          break
        }
        refused += 1
      }
    }
    return refused
  }

  @Test func refusalsSayWhatWouldDo() async throws {
    try await serve { api in
      let refused = api("PUT", "/v1/services")
      #expect(refused.status == 405 && refused.headers["allow"] == "DELETE, GET, HEAD, POST")
      #expect(refused.text.contains("use one of DELETE, GET, HEAD, POST"))
      let form = ["Content-Type": "application/x-www-form-urlencoded"]
      let unsupported = api("POST", "/v1/services", Self.web, form)
      #expect(unsupported.status == 415 && unsupported.headers["accept"] == "application/json")
      let json = ["Content-Type": "Application/JSON; charset=utf-8"]
      #expect(api("POST", "/v1/services", Self.web, json).status == 201)
      let long = api("GET", "/v1/services", "", ["A": String(repeating: "a", count: 100_000)])
      #expect(long.status == 431)
      for answer in [refused, unsupported, long] {
        #expect(answer.headers["content-type"] == "application/problem+json")
        #expect(answer.text.contains(#""type":"about:blank""#))
      }
    }
  }
}
