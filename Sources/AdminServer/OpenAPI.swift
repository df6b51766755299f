// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import Foundation
import NIOHTTP1

/// The OpenAPI 3.1 document, made of the routes themselves and the schemas of their documents.
struct OpenAPI: Encodable {
  private let openapi = "3.1.0"
  private let info = [
    "title": "Martinet", "version": "1",
    "description": "The control interface of a direct-routing director.",
  ]
  private let servers = [["url": "http://martinet"]]
  private let paths: [String: [String: Operation]]
  private let components = Components()

  init(_ routes: [Route]) {
    paths = Dictionary(grouping: routes, by: \.path).mapValues { routes in
      Dictionary(
        routes.map { ($0.method.rawValue.lowercased(), Operation($0)) }, uniquingKeysWith: { $1 })
    }
  }

  private struct Components: Encodable {
    private let schemas = Schemas.all
    private let securitySchemes = ["token": ["type": "http", "scheme": "bearer"]]
  }

  private struct Operation: Encodable {
    let operationId: String
    let summary: String
    let parameters: [Parameter]
    let requestBody: Body?
    let responses: [String: Answer]

    init(_ route: Route) {
      let names = route.path.split(separator: "/").dropFirst()
      operationId = "\(route.method.rawValue.lowercased())-" + names.joined(separator: "-")
      summary = route.summary
      parameters =
        names.filter { $0.hasPrefix("{") }.map {
          Parameter(name: String($0.dropFirst().dropLast()), place: "path", required: true)
        } + (route.query ?? []).map { Parameter(name: $0, place: "query", required: false) }
      requestBody = route.takes.map {
        Body(required: true, content: ["application/json": Media(schema: .named($0))])
      }
      let content = Dictionary(
        route.gives.map { ($0.type, Media(schema: $0.schema)) }, uniquingKeysWith: { $1 })
      var responses = [
        String(route.status.code): Answer(
          description: route.status.reasonPhrase, content: content.isEmpty ? nil : content),
        "default": Answer(
          description: "A problem document, RFC 9457",
          content: ["application/problem+json": Media(schema: .named("Problem"))]),
      ]
      if route.method == .GET {
        responses["304"] = Answer(description: "If-None-Match names this answer", content: nil)
      }
      self.responses = responses
    }
  }

  private struct Parameter: Encodable {
    let name: String
    let place: String
    let required: Bool
    let schema = Schema.string

    private enum CodingKeys: String, CodingKey {
      case name, required, schema
      case place = "in"
    }
  }

  private struct Media: Encodable { let schema: Schema }

  private struct Body: Encodable {
    let required: Bool
    let content: [String: Media]
  }

  private struct Answer: Encodable {
    let description: String
    let content: [String: Media]?
  }
}
