// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import Foundation
import NIOHTTP1

/// A whole request.
struct Request: Sendable {
  let method: HTTPMethod
  /// The path's segments, percent-decoded.
  let path: [String]
  /// The query's fields; the last of equals counts.
  let query: [String: String]
  /// What stands in the path where its route has braces.
  var parameters: [String] = []
  /// What its route takes; nil for nothing.
  var schema: Schema?
  /// Whether comma-separated values are wanted more than JSON.
  let prefersCSV: Bool
  let conditions: Conditions
  /// nil where it is not said.
  private let contentType: String?
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
    prefersCSV = AcceptedTypes(head.headers).prefer("text/csv", to: "application/json")
    conditions = Conditions(head.headers)
    contentType = head.headers.first(name: "Content-Type")
    self.body = body
  }

  /// Whether the body may be JSON by what the request says of it.
  var isJSON: Bool {
    guard let contentType else { return true }
    let type = contentType.prefix { $0 != ";" }.trimmingCharacters(in: .whitespaces).lowercased()
    return type == "application/json"
  }

  var hasJSONBody: Bool { (try? JSONSerialization.jsonObject(with: body)) != nil }

  private static func decoded(_ text: Substring) -> String {
    text.removingPercentEncoding ?? String(text)
  }
}

/// A whole answer.
struct Response: Sendable {
  private(set) var status: HTTPResponseStatus
  private(set) var headers: HTTPHeaders
  private(set) var body: Data
  private var tag: EntityTag?

  private init(_ status: HTTPResponseStatus, type: String, _ body: Data) {
    self.status = status
    self.body = body
    headers = ["Content-Type": type]
  }

  init(_ status: HTTPResponseStatus = .ok, _ document: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    self.init(
      status, type: "application/json", try encoder.encode(document) + Data("\n".utf8))
  }

  init(_ text: String, type: String) { self.init(.ok, type: type, Data(text.utf8)) }

  /// Figures in Prometheus' text format.
  init(metrics: String) { self.init(metrics, type: MetricsText.contentType) }

  /// Rows of comma-separated values.
  init(csv rows: [UInt8], next: UInt64? = nil) {
    self.init(.ok, type: "text/csv; header=absent", Data(rows))
    if let next { headers.add(name: "Martinet-Next", value: String(next)) }
  }

  /// A page of connections.
  init(_ page: ConnectionPageReport) {
    var octets = Array("{\"connections\":[".utf8)
    for (index, connection) in page.connections.enumerated() {
      if index > 0 { octets += ",".utf8 }
      octets += connection.json
    }
    octets += "]\(page.next.map { ",\"next\":\($0)" } ?? "")}\n".utf8
    self.init(.ok, type: "application/json", Data(octets))
  }

  /// Done, and nothing to say.
  static let done = Response(.noContent, headers: [:])

  private init(_ status: HTTPResponseStatus, headers: HTTPHeaders) {
    self.status = status
    self.headers = headers
    body = Data()
  }

  /// A problem document, RFC 9457.
  init(_ problem: Problem) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let document = try? encoder.encode(problem)
    self.init(
      HTTPResponseStatus(statusCode: problem.status), type: "application/problem+json",
      document ?? Data("{}".utf8))
  }

  init(
    _ status: HTTPResponseStatus, _ cause: String, mend: String?, _ headers: HTTPHeaders = [:]
  ) {
    self.init(Problem(status, cause, mend: mend))
    self.headers.add(contentsOf: headers)
  }

  /// The same with an entity tag.
  ///
  /// - Parameter revision: of what can be changed of it; nil for nothing.
  func tagged(_ revision: Int?) -> Response {
    var response = self
    let tag = EntityTag(revision: revision, content: body)
    response.tag = tag
    response.headers.add(name: "ETag", value: tag.description)
    return response
  }

  /// 304 in its place, where the client has it already.
  func unless(_ conditions: Conditions) -> Response {
    guard let tag, conditions.isUnmodified(tag) else { return self }
    var response = Response(.notModified, headers: ["ETag": tag.description])
    for field in headers["Vary"] { response.varies(by: field) }
    return response
  }

  /// A request with another value of this field may have another answer: RFC 9110 §12.5.5.
  mutating func varies(by field: String) { headers.add(name: "Vary", value: field) }
}

extension Problem {
  init(
    _ status: HTTPResponseStatus, _ cause: String, mend: String?, errorNumber: Int32? = nil
  ) {
    self.init(
      status: Int(status.code), title: status.reasonPhrase, cause: cause, mend: mend,
      errorNumber: errorNumber)
  }

  init(
    _ status: HTTPResponseStatus, _ error: some ExplainedError, errorNumber: Int32? = nil
  ) {
    let (cause, mend) = error.explanation
    self.init(status, cause, mend: mend, errorNumber: errorNumber)
  }
}
