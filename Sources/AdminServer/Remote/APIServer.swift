// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import Logging
import NIOCore
import ServiceLifecycle

/// The control interface on TCP: all that the Unix socket has, for who has the token. It has its
/// own places, so that nobody on the network takes those of the Unix socket's clients.
public struct APIServer: Service {
  private let routes: Routes
  private let endpoint: APIEndpoint
  private let credentials: APICredentials
  private let logger: Logger
  private let limits: ClientLimits
  private let opened: @Sendable () -> Void

  /// - Parameters:
  ///   - configuration: the file that the director was started with.
  ///   - owner: who announces the VIPs, if that is done.
  ///   - opened: called once, when clients can come.
  public init(
    director: Director, configuration: RunningConfiguration?, owner: VirtualAddressOwner?,
    endpoint: APIEndpoint, credentials: APICredentials, logger: Logger,
    opened: @escaping @Sendable () -> Void = {}
  ) {
    self.init(
      director: director, configuration: configuration, owner: owner, endpoint: endpoint,
      credentials: credentials, logger: logger, limits: ClientLimits(), opened: opened)
  }

  init(
    director: Director, configuration: RunningConfiguration? = nil,
    owner: VirtualAddressOwner? = nil, endpoint: APIEndpoint, credentials: APICredentials,
    logger: Logger, limits: ClientLimits, opened: @escaping @Sendable () -> Void = {}
  ) {
    routes = Routes(director: director, runningConfiguration: configuration, owner: owner)
    self.endpoint = endpoint
    self.credentials = credentials
    self.logger = logger
    self.limits = limits
    self.opened = opened
  }

  /// Serves until graceful shutdown or cancellation. Throws `ListeningError` where the address
  /// cannot be had.
  public func run() async throws {
    let (routes, credentials) = (routes, credentials)
    let listener = HTTPListener(
      limits: limits, respond: { await routes.respond(to: $0) },
      authorize: { credentials.refusal(of: $0) },
      prepare: { channel in
        guard let tls = credentials.tls else { return }
        try channel.pipeline.syncOperations.addHandler(
          TLSHandler(tls, plainAnswer: Self.plainAnswer))
      })
    try await listener.serve(at: endpoint.listen, for: "api") {
      logger.info(
        "api is open",
        metadata: ["address": "\(endpoint.listen)", "tls": "\(endpoint.certificate != nil)"])
      opened()
    }
  }

  /// To one who speaks HTTP without TLS.
  private static var plainAnswer: ByteBuffer {
    let response = Response(
      .badRequest, "this port speaks TLS only", mend: "ask for https:// in place of http://")
    var octets = ByteBuffer()
    octets.writeString("HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\n")
    octets.writeString("Content-Length: \(response.body.count)\r\nConnection: close\r\n\r\n")
    octets.writeBytes(response.body)
    return octets
  }
}
