// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import DataPlane
import NIOHTTP1

/// `/v1/services/…`, `/v1/timeouts`, `/v1/zero` and `/v1/commands`.
extension Routes {
  func services(_ request: Request) async throws -> Response {
    let revision = await director.revision(of: .services)
    let services = await director.serviceStatuses().map(ServiceReport.init)
    let capacity = await director.connectionCapacity
    let table = TableReport(connectionCapacity: capacity, services: services)
    let response = try request.prefersCSV ? Response(csv: table.rows) : Response(.ok, table)
    return response.tagged(revision)
  }

  func addService(_ request: Request) async throws -> Response {
    let body: ServiceRequest = try decode(request)
    try await apply(
      .addService(
        service: body.service, scheduler: body.scheduler, flags: body.flags,
        persistence: body.persistence, isOnePacket: body.isOnePacket, policy: body.policy),
      to: .services, request)
    return try await service(body.service, .created)
  }

  func clear(_ request: Request) async throws -> Response {
    try await apply(.clear, to: .services, request)
    return .done
  }

  func service(_ request: Request) async throws -> Response {
    try await service(key(of: request))
  }

  func changeService(_ request: Request) async throws -> Response {
    let key = try key(of: request)
    let body: ServiceChange = try decode(request)
    try await apply(
      .editService(
        service: key, scheduler: body.scheduler, flags: body.flags,
        persistence: body.persistence, isOnePacket: body.isOnePacket, policy: body.policy),
      to: .service(key), request)
    return try await service(key)
  }

  func deleteService(_ request: Request) async throws -> Response {
    let key = try key(of: request)
    try await apply(.deleteService(service: key), to: .service(key), request)
    return .done
  }

  func realServers(_ request: Request) async throws -> Response {
    let key = try key(of: request)
    let revision = await director.revision(of: .service(key))
    return try Response(.ok, try await report(of: key).realServers).tagged(revision)
  }

  func addRealServer(_ request: Request) async throws -> Response {
    let key = try key(of: request)
    let body: RealServerRequest = try decode(request)
    try await apply(
      .addRealServer(
        service: key, realServer: body.realServer, weight: body.weight,
        thresholds: body.thresholds), to: .service(key), request)
    return try await realServer(body.realServer, of: key, .created)
  }

  func realServer(_ request: Request) async throws -> Response {
    try await realServer(server(of: request), of: key(of: request))
  }

  func changeRealServer(_ request: Request) async throws -> Response {
    let (key, server) = (try key(of: request), try server(of: request))
    let body: RealServerChange = try decode(request)
    try await apply(
      .editRealServer(
        service: key, realServer: server, weight: body.weight, thresholds: body.thresholds),
      to: .realServer(server.address, key), request)
    return try await realServer(server, of: key)
  }

  func deleteRealServer(_ request: Request) async throws -> Response {
    let (key, server) = (try key(of: request), try server(of: request))
    try await apply(
      .deleteRealServer(service: key, realServer: server), to: .realServer(server.address, key),
      request)
    return .done
  }

  func zero(_ request: Request) async throws -> Response {
    let key = request.parameters.isEmpty ? nil : try key(of: request)
    try await apply(.zero(service: key), to: key.map { .service($0) } ?? .services, request)
    return .done
  }

  func timeouts(_ request: Request) async throws -> Response {
    if request.method == .PATCH {
      try await apply(.setTimeouts(try decode(request)), to: .timeouts, request)
    }
    let revision = await director.revision(of: .timeouts)
    return try Response(.ok, Timeouts(await director.timeouts)).tagged(revision)
  }

  func commands(_ request: Request) async throws -> Response {
    let more = request.query["more"] ?? "false"
    guard more == "true" || more == "false" else {
      throw Problem(
        .badRequest, "more \(more.debugDescription) is neither true nor false", mend: "give one")
    }
    let commands: [Command] = try decode(request)
    var failures = try await director.change(.everything, if: request.conditions) { director in
      var failures: [CommandsReport.Failure] = []
      for (index, command) in commands.enumerated() {
        do throws(DirectorError) {
          try director.apply(command)
        } catch {
          failures.append(.init(index: index, problem: Problem(error)))
        }
      }
      return failures
    }
    // More of the same list follow: the workers get all of it at once.
    if more == "false" {
      do {
        try await director.settle()
      } catch {
        failures.append(.init(index: commands.count - 1, problem: Problem(error)))
      }
    }
    return try Response(.ok, CommandsReport(failures: failures))
  }

  private func apply(
    _ command: Command, to part: ConfiguredPart, _ request: Request
  ) async throws {
    try await director.change(part, if: request.conditions) { try $0.apply(command) }
    try await director.settle()
  }

  private func service(
    _ key: VirtualServiceKey, _ status: HTTPResponseStatus = .ok
  ) async throws -> Response {
    let revision = await director.revision(of: .service(key))
    return try Response(status, try await report(of: key)).tagged(revision)
  }

  private func realServer(
    _ server: RealServerAddress, of key: VirtualServiceKey, _ status: HTTPResponseStatus = .ok
  ) async throws -> Response {
    let revision = await director.revision(of: .realServer(server.address, key))
    let realServers = try await report(of: key).realServers
    guard let report = realServers.first(where: { $0.realServer == server }) else {
      throw DirectorError.noSuchRealServer(server.address, key)
    }
    return try Response(status, report).tagged(revision)
  }

  private func report(of key: VirtualServiceKey) async throws -> ServiceReport {
    guard let status = await director.serviceStatus(of: key) else {
      throw DirectorError.noSuchService(key)
    }
    return ServiceReport(status)
  }

  private func key(of request: Request) throws -> VirtualServiceKey {
    guard let key = VirtualServiceKey(path: Array(request.parameters.prefix(3))) else {
      throw notFound
    }
    return key
  }

  private func server(of request: Request) throws -> RealServerAddress {
    let words = request.parameters.suffix(2)
    guard let name = words.first, !name.utf8.contains(0), let address = IPAddress(name),
      let port = words.last.flatMap({ UInt16($0) })
    else { throw notFound }
    return RealServerAddress(address: address, port: Port(port))
  }
}
