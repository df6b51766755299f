// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import DataPlane
import NIOHTTP1

/// `/v1/drains/…`.
extension Routes {
  /// At most 31 days.
  private static let longestDeadlineSeconds: UInt32 = 31 * 86_400

  /// `path` follows `drains`.
  func drains(_ request: Request, _ path: ArraySlice<String>) async throws -> Response {
    let words = Array(path)
    switch (request.method, words.count) {
    case (.GET, 0): return try await drainList(.ok)
    case (.POST, 0):
      let body: DrainRequest = try decode(request)
      if let seconds = body.deadlineSeconds {
        guard (1...Self.longestDeadlineSeconds).contains(seconds) else {
          throw Problem(
            .badRequest,
            "deadlineSeconds is out of range: give 1 to \(Self.longestDeadlineSeconds)")
        }
      } else if body.then ?? .keep != .keep {
        throw Problem(.badRequest, "`then` happens at the deadline: give deadlineSeconds")
      }
      try await director.drain(
        body.address, in: body.service, deadline: body.deadlineSeconds.map { .seconds($0) },
        end: body.then ?? .keep)
      try await director.settle()
      return try await drainList(.created) { report in
        report.realServer.address == body.address
          && (body.service.map { report.service == $0 } ?? true)
      }
    case (.DELETE, 1), (.DELETE, 4):
      let key = VirtualServiceKey(path: Array(words.dropFirst()))
      guard !words[0].utf8.contains(0), let address = IPAddress(words[0]),
        words.count == 1 || key != nil
      else { throw notFound }
      try await director.cancelDrain(of: address, in: key)
      try await director.settle()
      return .done
    case (_, 0), (_, 1), (_, 4): throw notAllowed
    default: throw notFound
    }
  }

  private func drainList(
    _ status: HTTPResponseStatus, _ isMeant: (DrainReport) -> Bool = { _ in true }
  ) async throws -> Response {
    try Response(status, await director.drains().map(DrainReport.init).filter(isMeant))
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
