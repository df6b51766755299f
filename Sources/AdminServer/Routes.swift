// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import DataPlane
import Foundation
import NIOHTTP1

/// What each path and method means to the director.
struct Routes: Sendable {
  let director: Director
  /// nil where the director was started without a file.
  var runningConfiguration: RunningConfiguration?
  /// nil where the director does not announce its VIPs.
  var owner: VirtualAddressOwner?

  func respond(to request: Request) async -> Response {
    do {
      let method = request.method == .HEAD ? .GET : request.method
      let matches = Self.table.compactMap { route in
        route.parameters(of: request.path).map { (route, $0) }
      }
      guard !matches.isEmpty else { throw notFound }
      guard let (route, parameters) = matches.first(where: { $0.0.method == method }) else {
        return notAllowed(request.method, matches.map(\.0.method))
      }
      try route.check(request.query)
      if route.takes != nil, !request.isJSON {
        return Response(
          .unsupportedMediaType,
          "the request's body is no application/json, says its Content-Type",
          mend: "say that it is",
          ["Accept": "application/json"])
      }
      var request = request
      request.parameters = parameters
      request.schema = route.takes.map(Schema.named)
      var response = try await route.answer(self, request)
      if route.isNegotiated { response.varies(by: "Accept") }
      return method == .GET ? response.unless(request.conditions) : response
    } catch let problem as Problem {
      return Response(problem)
    } catch let error as DirectorError {
      return Response(Problem(error))
    } catch let error as QueryError {
      return Response(.badRequest, error.cause, mend: error.mend)
    } catch let error as DecodingError {
      return Response(
        .badRequest, error.cause, mend: "give what /v1/openapi.json says of this request")
    } catch {
      return Response(.internalServerError, "\(error)", mend: "see the director's log")
    }
  }

  private func notAllowed(_ method: HTTPMethod, _ allowed: [HTTPMethod]) -> Response {
    let names = (allowed.contains(.GET) ? ["HEAD"] : []) + allowed.map(\.rawValue)
    let words = names.sorted().joined(separator: ", ")
    return Response(
      .methodNotAllowed, "the path does not take \(method.rawValue)",
      mend: "use one of \(words)", ["Allow": words])
  }

  func decode<Body: Decodable>(_ request: Request) throws -> Body {
    do {
      let body = try JSONDecoder().decode(Body.self, from: request.body)
      if let schema = request.schema { try FieldSearch.check(request.body, schema) }
      return body
    } catch DecodingError.dataCorrupted(let context)
      where context.codingPath.isEmpty && request.hasJSONBody
    {
      // So Foundation calls a number that does not fit its type.
      if let schema = request.schema {
        try FieldSearch.check(request.body, schema, looksAtNumbers: true)
      }
      throw Problem(
        .badRequest, "a number in the request's body is negative or too large",
        mend: "give one within the range that /v1/openapi.json says")
    }
  }

  var notFound: Problem {
    Problem(.notFound, "there is no such path", mend: "/v1/openapi.json has them all")
  }
}

extension DecodingError {
  /// Where in the request what is wrong.
  fileprivate var cause: String {
    let context: Context
    switch self {
    case .typeMismatch(_, let found), .valueNotFound(_, let found), .keyNotFound(_, let found),
      .dataCorrupted(let found):
      context = found
    @unknown default: return "\(self)"
    }
    let path = context.codingPath.map(\.stringValue).joined(separator: ".")
    return "the request's \(path.isEmpty ? "body" : path) is wrong: \(context.debugDescription)"
  }
}
