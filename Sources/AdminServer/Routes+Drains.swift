// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import DataPlane
import NIOHTTP1

/// `/v1/drains/…`.
extension Routes {
  /// At most 31 days.
  private static let longestDeadlineSeconds: UInt32 = 31 * 86_400

  func drains(_ request: Request) async throws -> Response { try await drainList(.ok) }

  func drain(_ request: Request) async throws -> Response {
    let body: DrainRequest = try decode(request)
    if let seconds = body.deadlineSeconds {
      guard (1...Self.longestDeadlineSeconds).contains(seconds) else {
        throw Problem(
          .badRequest, "deadlineSeconds is out of range",
          mend: "give 1 to \(Self.longestDeadlineSeconds)")
      }
    } else if body.then ?? .keep != .keep {
      throw Problem(.badRequest, "`then` happens at the deadline", mend: "give deadlineSeconds")
    }
    try await director.change(.drains, if: request.conditions) {
      try $0.drain(
        body.address, in: body.service, deadline: body.deadlineSeconds.map { .seconds($0) },
        end: body.then ?? .keep)
    }
    try await director.settle()
    return try await drainList(.created) { report in
      report.realServer.address == body.address
        && (body.service.map { report.service == $0 } ?? true)
    }
  }

  func cancelDrain(_ request: Request) async throws -> Response {
    let words = request.parameters
    let key = VirtualServiceKey(path: Array(words.dropFirst()))
    guard !words[0].utf8.contains(0), let address = IPAddress(words[0]),
      words.count == 1 || key != nil
    else { throw notFound }
    try await director.change(.drains, if: request.conditions) {
      try $0.cancelDrain(of: address, in: key)
    }
    try await director.settle()
    return .done
  }

  private func drainList(
    _ status: HTTPResponseStatus, _ isMeant: (DrainReport) -> Bool = { _ in true }
  ) async throws -> Response {
    let revision = await director.revision(of: .drains)
    return try Response(status, await director.drains().map(DrainReport.init).filter(isMeant))
      .tagged(revision)
  }
}

extension DrainReport {
  init(_ status: DrainStatus) {
    self.init(
      service: status.service,
      realServer: RealServerAddress(
        address: status.realServer.address, port: status.realServer.port),
      phase: Phase(status.phase), then: status.end,
      elapsedSeconds: status.elapsedSeconds, secondsToDeadline: status.secondsToDeadline,
      initialConnections: status.initialConnections, connections: status.connections,
      oldestSeconds: status.oldestSeconds,
      secondsToEmpty: status.secondsToEmpty)
  }
}

extension DrainReport.Phase {
  init(_ phase: Drain.Phase) {
    self =
      switch phase {
      case .draining: .draining
      case .empty: .empty
      case .ended: .ended
      }
  }
}
