// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import DataPlane
import Foundation
import NIOHTTP1

/// What each path and method means to the director.
struct Routes: Sendable {
  /// Connections in an answer where none says how many.
  private static let usualPage = 1000

  let director: Director
  /// nil where the director was started without a file.
  var runningConfiguration: RunningConfiguration?
  /// nil where the director does not announce its VIPs.
  var owner: VirtualAddressOwner?

  func respond(to request: Request) async -> Response {
    do {
      if request.path == ["metrics"], request.method == .GET {
        return Response(metrics: await director.metrics())
      }
      guard request.path.first == "v1" else { throw notFound }
      return try await respond(to: request, request.path.dropFirst())
    } catch let problem as Problem {
      return Response(problem)
    } catch let error as DirectorError {
      return Response(Problem(error))
    } catch let error as QueryError {
      return Response(.badRequest, error.description)
    } catch let error as DecodingError {
      return Response(.badRequest, error.sentence)
    } catch {
      return Response(.internalServerError, "\(error)")
    }
  }

  private func respond(
    to request: Request, _ path: ArraySlice<String>
  ) async throws -> Response {
    let rest = path.dropFirst()
    switch (path.first, rest.isEmpty) {
    case ("services", true): return try await services(request)
    case ("services", false): return try await service(request, rest)
    case ("commands", true): return try await commands(request)
    case ("marks", true):
      guard request.method == .GET else { throw notAllowed }
      let marks = await director.marks.sorted { $0.key < $1.key }
      return try Response(.ok, marks.map { MarkReport(mark: $0.key, ports: $0.value) })
    case ("checks", true):
      guard request.method == .GET else { throw notAllowed }
      return try Response(.ok, await director.checkStatuses().map(CheckReport.init))
    case ("timeouts", true): return try await timeouts(request)
    case ("zero", true): return try await zero(request, nil)
    case ("connections", true): return try await connections(request)
    case ("connections", false) where Array(rest) == ["count"]:
      return try await connectionCount(request)
    case ("queues", true):
      guard request.method == .GET else { throw notAllowed }
      return try Response(.ok, await director.queues().map(QueueReport.init))
    case ("vips", _): return try await virtualAddresses(request, rest)
    case ("neighbors", true):
      guard request.method == .GET else { throw notAllowed }
      return try Response(.ok, await director.neighborStatuses().map(NeighborReport.init))
    case ("drains", _): return try await drains(request, rest)
    case ("configuration", false): return try await configuration(request, rest)
    case ("program", true):
      guard request.method == .GET else { throw notAllowed }
      return try Response(.ok, ProgramReport(await director.programCounters()))
    default: throw notFound
    }
  }

  private func services(_ request: Request) async throws -> Response {
    switch request.method {
    case .GET:
      let services = await director.serviceStatuses().map(ServiceReport.init)
      let capacity = await director.connectionCapacity
      let table = TableReport(connectionCapacity: capacity, services: services)
      return try request.acceptsCSV ? Response(csv: table.rows) : Response(.ok, table)
    case .POST:
      let body: ServiceRequest = try decode(request)
      try await apply(
        .addService(
          service: body.service, scheduler: body.scheduler, flags: body.flags,
          persistence: body.persistence, isOnePacket: body.isOnePacket, policy: body.policy))
      return try Response(.created, try await report(of: body.service))
    case .DELETE:
      try await apply(.clear)
      return .done
    default: throw notAllowed
    }
  }

  /// `path` follows `services/`.
  private func service(_ request: Request, _ path: ArraySlice<String>) async throws -> Response {
    let words = Array(path)
    guard let key = VirtualServiceKey(path: Array(words.prefix(3))) else { throw notFound }
    switch (words.count, words.count > 3 ? words[3] : "") {
    case (3, _): break
    case (4, "zero"): return try await zero(request, key)
    case (4, "real-servers"): return try await realServers(request, of: key)
    case (6, "real-servers"):
      guard let server = RealServerAddress(words[4], words[5]) else { throw notFound }
      return try await realServer(request, server, of: key)
    default: throw notFound
    }
    switch request.method {
    case .GET: break
    case .PATCH:
      let body: ServiceChange = try decode(request)
      try await apply(
        .editService(
          service: key, scheduler: body.scheduler, flags: body.flags,
          persistence: body.persistence, isOnePacket: body.isOnePacket, policy: body.policy))
    case .DELETE:
      try await apply(.deleteService(service: key))
      return .done
    default: throw notAllowed
    }
    return try Response(.ok, try await report(of: key))
  }

  private func realServers(
    _ request: Request, of key: VirtualServiceKey
  ) async throws -> Response {
    switch request.method {
    case .GET: return try Response(.ok, try await report(of: key).realServers)
    case .POST:
      let body: RealServerRequest = try decode(request)
      try await apply(
        .addRealServer(
          service: key, realServer: body.realServer, weight: body.weight,
          thresholds: body.thresholds))
      return try Response(.created, try await report(of: body.realServer, in: key))
    default: throw notAllowed
    }
  }

  private func realServer(
    _ request: Request, _ server: RealServerAddress, of key: VirtualServiceKey
  ) async throws -> Response {
    switch request.method {
    case .GET: break
    case .PATCH:
      let body: RealServerChange = try decode(request)
      try await apply(
        .editRealServer(
          service: key, realServer: server, weight: body.weight, thresholds: body.thresholds))
    case .DELETE:
      try await apply(.deleteRealServer(service: key, realServer: server))
      return .done
    default: throw notAllowed
    }
    return try Response(.ok, try await report(of: server, in: key))
  }

  private func commands(_ request: Request) async throws -> Response {
    guard request.method == .POST else { throw notAllowed }
    let commands: [Command] = try decode(request)
    var failures: [CommandsReport.Failure] = []
    for (index, command) in commands.enumerated() {
      do {
        try await director.apply(command)
      } catch {
        failures.append(.init(index: index, problem: Problem(error)))
      }
    }
    // More of the same list follow: the workers get all of it at once.
    if request.query["more"] != "true" {
      do {
        try await director.settle()
      } catch {
        failures.append(.init(index: commands.count - 1, problem: Problem(error)))
      }
    }
    return try Response(.ok, CommandsReport(failures: failures))
  }

  private func timeouts(_ request: Request) async throws -> Response {
    switch request.method {
    case .GET: break
    case .PATCH: try await apply(.setTimeouts(try decode(request)))
    default: throw notAllowed
    }
    return try Response(.ok, Timeouts(await director.timeouts))
  }

  private func zero(_ request: Request, _ key: VirtualServiceKey?) async throws -> Response {
    guard request.method == .POST else { throw notAllowed }
    try await apply(.zero(service: key))
    return .done
  }

  private func connections(_ request: Request) async throws -> Response {
    let (listing, from, rest) = try await listing(request)
    let limit = try number(rest["limit"]) ?? UInt64(Self.usualPage)
    let largest = UInt64(ControlClient.connectionLimit)
    guard (1...largest).contains(limit) else {
      throw Problem(.badRequest, "limit is out of range: give 1 to \(largest)")
    }
    let page = ConnectionPageReport(listing.page(from: from, limit: Int(limit)))
    guard request.acceptsCSV else { return Response(page) }
    return Response(csv: page.connections.reduce(into: []) { $0 += $1.row }, next: page.next)
  }

  private func connectionCount(_ request: Request) async throws -> Response {
    let (listing, from, _) = try await listing(request)
    let (count, next) = listing.count(from: from)
    return try Response(.ok, ConnectionCountReport(connections: count, next: next?.rawValue))
  }

  /// What the query asks for, from where, and the fields that say neither.
  private func listing(
    _ request: Request
  ) async throws -> (ConnectionListing, ConnectionPosition?, rest: [String: String]) {
    guard request.method == .GET else { throw notAllowed }
    let isPaging = { (name: String) in name == "from" || name == "limit" }
    let paging = request.query.filter { isPaging($0.key) }
    let query = try ConnectionQuery(fields: request.query.filter { !isPaging($0.key) })
    let from = try number(paging["from"]).map(ConnectionPosition.init)
    return (try await director.connectionListing(ConnectionFilter(query)), from, paging)
  }

  private func number(_ text: String?) throws -> UInt64? {
    guard let text else { return nil }
    guard let number = UInt64(text) else {
      throw Problem(.badRequest, "\(text.debugDescription) is not a number: give digits only")
    }
    return number
  }

  private func apply(_ command: Command) async throws {
    try await director.apply(command)
    try await director.settle()
  }

  private func report(of key: VirtualServiceKey) async throws -> ServiceReport {
    guard let status = await director.serviceStatus(of: key) else {
      throw DirectorError.noSuchService(key)
    }
    return ServiceReport(status)
  }

  private func report(
    of server: RealServerAddress, in key: VirtualServiceKey
  ) async throws -> RealServerReport {
    let realServers = try await report(of: key).realServers
    guard let report = realServers.first(where: { $0.realServer == server }) else {
      throw DirectorError.noSuchRealServer(server.address, key)
    }
    return report
  }

  func decode<Body: Decodable>(_ request: Request) throws -> Body {
    do {
      return try JSONDecoder().decode(Body.self, from: request.body)
    } catch DecodingError.dataCorrupted(let context)
      where context.codingPath.isEmpty && request.isJSON
    {
      // So Foundation calls a number that does not fit its type.
      throw Problem(.badRequest, "a number in the request's body is negative or too large")
    }
  }

  var notFound: Problem {
    Problem(.notFound, "there is no such path: Sources/AdminServer/README.md has them all")
  }

  var notAllowed: Problem {
    Problem(
      .methodNotAllowed,
      "the path does not take this method: Sources/AdminServer/README.md has those it takes")
  }
}

extension RealServerAddress {
  fileprivate init?(_ address: String, _ port: String) {
    guard !address.utf8.contains(0), let address = IPAddress(address), let port = UInt16(port)
    else { return nil }
    self.init(address: address, port: Port(port))
  }
}

extension DecodingError {
  /// Where in the request what is wrong.
  fileprivate var sentence: String {
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
