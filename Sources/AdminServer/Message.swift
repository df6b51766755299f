// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import Foundation
import NIOHTTP1

/// A whole request.
struct Request: Sendable {
  let method: HTTPMethod
  /// The path's segments, percent-decoded.
  let path: [String]
  /// The query's fields; the last of equals counts.
  let query: [String: String]
  /// Whether comma-separated values are asked for.
  let acceptsCSV: Bool
  let body: Data

  init(head: HTTPRequestHead, body: Data) {
    method = head.method
    let target = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    path = (target.first ?? "").split(separator: "/").map(Self.decoded)
    var query: [String: String] = [:]
    for field in target.dropFirst().first?.split(separator: "&") ?? [] {
      let pair = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      query[Self.decoded(pair[0])] = pair.count == 2 ? Self.decoded(pair[1]) : ""
    }
    self.query = query
    acceptsCSV = head.headers["Accept"].contains { $0.contains("text/csv") }
    self.body = body
  }

  var isJSON: Bool { (try? JSONSerialization.jsonObject(with: body)) != nil }

  private static func decoded(_ text: Substring) -> String {
    text.removingPercentEncoding ?? String(text)
  }
}

/// A whole answer.
struct Response: Sendable {
  let status: HTTPResponseStatus
  let contentType: String
  /// What the header field `Martinet-Next` says; nil for none.
  var next: UInt64?
  let body: Data

  init(_ status: HTTPResponseStatus = .ok, _ document: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    self.status = status
    contentType = "application/json"
    body = try encoder.encode(document) + Data("\n".utf8)
  }

  /// Figures in Prometheus' text format.
  init(metrics: String) {
    status = .ok
    contentType = MetricsText.contentType
    body = Data(metrics.utf8)
  }

  /// Rows of comma-separated values.
  init(csv rows: [UInt8], next: UInt64? = nil) {
    status = .ok
    contentType = "text/csv; header=absent"
    self.next = next
    body = Data(rows)
  }

  /// A page of connections.
  init(_ page: ConnectionPageReport) {
    status = .ok
    contentType = "application/json"
    var octets = Array("{\"connections\":[".utf8)
    for (index, connection) in page.connections.enumerated() {
      if index > 0 { octets += ",".utf8 }
      octets += connection.json
    }
    octets += "]\(page.next.map { ",\"next\":\($0)" } ?? "")}\n".utf8
    body = Data(octets)
  }

  /// Done, and nothing to say.
  static let done = Response(.noContent)

  private init(_ status: HTTPResponseStatus) {
    self.status = status
    contentType = "application/json"
    body = Data()
  }

  /// A problem document, RFC 9457.
  init(_ problem: Problem) {
    let document = try? JSONEncoder().encode(problem)
    status = HTTPResponseStatus(statusCode: problem.status)
    contentType = "application/problem+json"
    body = document ?? Data("{}".utf8)
  }

  init(_ status: HTTPResponseStatus, _ detail: String) {
    self.init(Problem(status, detail))
  }
}

extension Problem {
  init(_ status: HTTPResponseStatus, _ detail: String, errorNumber: Int32? = nil) {
    self.init(
      status: Int(status.code), title: status.reasonPhrase, detail: detail,
      errorNumber: errorNumber)
  }
}
