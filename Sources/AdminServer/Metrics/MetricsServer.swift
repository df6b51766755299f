// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceLifecycle

/// `/metrics` for Prometheus on TCP, without a password: it tells figures and takes no command.
public struct MetricsServer: Service {
  private let director: Director
  private let endpoint: MetricsEndpoint
  private let logger: Logger
  private let opened: @Sendable () -> Void

  /// - Parameter opened: called once, when it can be asked.
  public init(
    director: Director, endpoint: MetricsEndpoint, logger: Logger,
    opened: @escaping @Sendable () -> Void = {}
  ) {
    self.director = director
    self.endpoint = endpoint
    self.logger = logger
    self.opened = opened
  }

  /// Serves until graceful shutdown or cancellation. Throws `MetricsServerError` where the address
  /// cannot be had.
  public func run() async throws {
    let (director, endpoint) = (director, endpoint)
    let listener = HTTPListener(limits: ClientLimits()) { request in
      guard request.path == ["metrics"] else {
        return Response(.notFound, "there is no such path: ask for /metrics")
      }
      guard request.method == .GET || request.method == .HEAD else {
        return Response(
          .methodNotAllowed, "figures can only be read: use GET", ["Allow": "GET, HEAD"])
      }
      return Response(metrics: await director.metrics())
    }
    try await listener.serve { bootstrap in
      do {
        return try await bootstrap.serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
          .bind(to: endpoint.socketAddress).get()
      } catch {
        throw MetricsServerError(endpoint: endpoint, cause: "\(error)")
      }
    } opened: {
      logger.info("metrics are open", metadata: ["address": "\(endpoint)"])
      opened()
    }
  }
}

/// The address of the metrics cannot be had.
public struct MetricsServerError: Error, Sendable, CustomStringConvertible {
  public let endpoint: MetricsEndpoint
  let cause: String

  public var description: String {
    "metrics address \(endpoint): cannot listen: \(cause): give one of this machine's addresses "
      + "and a free port"
  }
}

extension MetricsEndpoint {
  fileprivate var socketAddress: SocketAddress {
    get throws {
      try SocketAddress(ipAddress: address.description, port: Int(port.rawValue))
    }
  }
}
