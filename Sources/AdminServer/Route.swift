// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import NIOHTTP1

/// A method of a path: how it is answered, and what the OpenAPI document says of it.
struct Route: Sendable {
  typealias Answer = @Sendable (Routes, Request) async throws -> Response

  let method: HTTPMethod
  /// `/v1/services/{protocol}/{address}/{port}`
  let path: String
  let summary: String
  /// The name of the schema of its request; nil where it takes none.
  let takes: String?
  let status: HTTPResponseStatus
  /// Media types of what it answers, with the schema of each; none without content.
  let gives: [(type: String, schema: Schema)]
  /// Fields of its query; nil where it is not looked at.
  let query: [String]?
  let answer: Answer

  init(
    _ method: HTTPMethod, _ path: String, _ summary: String, takes: String? = nil,
    _ status: HTTPResponseStatus = .ok, gives schema: Schema? = nil,
    also: [(type: String, schema: Schema)] = [], query: [String]? = [], answer: @escaping Answer
  ) {
    self.method = method
    self.path = path
    self.summary = summary
    self.takes = takes
    self.status = schema == nil && also.isEmpty ? .noContent : status
    self.query = query
    self.answer = answer
    gives = (schema.map { [("application/json", $0)] } ?? []) + also
  }

  /// Whether the request's Accept chooses the media type.
  var isNegotiated: Bool { gives.count > 1 }

  /// Throws a problem that names the first field that it has not, and the nearest that it has: what
  /// is left out has a meaning of its own.
  func check(_ query: [String: String]) throws(Problem) {
    guard let known = self.query,
      let unknown = query.keys.filter({ !known.contains($0) }).min()
    else { return }
    let nearest = known.nearest(to: unknown).map { "the nearest is `\($0)`" }
    throw Problem(
      .badRequest, "the query's \(unknown.prefix(200)) is no known field",
      mend: nearest ?? "leave it out")
  }

  /// The words of the path that braces stand for; nil where it is another path.
  func parameters(of path: [String]) -> [String]? {
    let words = self.path.split(separator: "/")
    guard words.count == path.count else { return nil }
    var parameters: [String] = []
    for (word, given) in zip(words, path) {
      if word.hasPrefix("{") {
        parameters.append(given)
      } else if word != given {
        return nil
      }
    }
    return parameters
  }
}
