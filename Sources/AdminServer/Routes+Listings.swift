// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import NIOHTTP1

/// What can only be read.
extension Routes {
  /// Connections in an answer where none says how many.
  private static let usualPage = 1000

  func marks(_ request: Request) async throws -> Response {
    let revision = await director.revision(of: .marks)
    let marks = await director.marks.sorted { $0.key < $1.key }
    return try Response(.ok, marks.map { MarkReport(mark: $0.key, ports: $0.value) })
      .tagged(revision)
  }

  func connections(_ request: Request) async throws -> Response {
    let (listing, from, rest) = try await listing(request)
    let limit = try number(rest["limit"]) ?? UInt64(Self.usualPage)
    let largest = UInt64(ControlClient.connectionLimit)
    guard (1...largest).contains(limit) else {
      throw Problem(.badRequest, "limit is out of range", mend: "give 1 to \(largest)")
    }
    let page = ConnectionPageReport(listing.page(from: from, limit: Int(limit)))
    guard request.prefersCSV else { return Response(page) }
    return Response(csv: page.connections.reduce(into: []) { $0 += $1.row }, next: page.next)
  }

  func connectionCount(_ request: Request) async throws -> Response {
    let (listing, from, _) = try await listing(request)
    let (count, next) = listing.count(from: from)
    return try Response(.ok, ConnectionCountReport(connections: count, next: next?.rawValue))
  }

  /// What the query asks for, from where, and the fields that say neither.
  private func listing(
    _ request: Request
  ) async throws -> (ConnectionListing, ConnectionPosition?, rest: [String: String]) {
    let isPaging = { (name: String) in name == "from" || name == "limit" }
    let paging = request.query.filter { isPaging($0.key) }
    let query = try ConnectionQuery(fields: request.query.filter { !isPaging($0.key) })
    let from = try number(paging["from"]).map(ConnectionPosition.init)
    return (try await director.connectionListing(ConnectionFilter(query)), from, paging)
  }

  private func number(_ text: String?) throws -> UInt64? {
    guard let text else { return nil }
    guard let number = UInt64(text) else {
      throw Problem(
        .badRequest, "\(text.debugDescription) is not a number", mend: "give digits only")
    }
    return number
  }
}
