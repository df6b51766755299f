// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import Logging
import NIOHTTP1
import ServiceLifecycle

/// `/metrics` for Prometheus on TCP, without a password: it tells figures and takes no command.
public struct MetricsServer: Service {
  private let director: Director
  private let endpoint: TCPEndpoint
  private let logger: Logger
  private let opened: @Sendable () -> Void

  /// - Parameter opened: called once, when it can be asked.
  public init(
    director: Director, endpoint: TCPEndpoint, logger: Logger,
    opened: @escaping @Sendable () -> Void = {}
  ) {
    self.director = director
    self.endpoint = endpoint
    self.logger = logger
    self.opened = opened
  }

  /// Serves until graceful shutdown or cancellation. Throws `ListeningError` where the address
  /// cannot be had.
  public func run() async throws {
    let director = director
    let listener = HTTPListener(limits: ClientLimits()) { request in
      guard request.path == ["metrics"] else {
        return Response(.notFound, "there is no such path", mend: "ask for /metrics")
      }
      guard request.method == .GET || request.method == .HEAD else {
        return Response(
          .methodNotAllowed, "figures can only be read", mend: "use GET", ["Allow": "GET, HEAD"])
      }
      return Response(metrics: await director.metrics())
    }
    try await listener.serve(at: endpoint, for: "metrics") {
      logger.info("metrics are open", metadata: ["address": "\(endpoint)"])
      opened()
    }
  }
}
