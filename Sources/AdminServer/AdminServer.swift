// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import Glibc
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// The director's control interface: HTTP/1.1 and JSON on a Unix socket that only its owner can
/// open, for root and the daemon's own user. One request per connection.
public struct AdminServer: Service {
  private let routes: Routes
  private let socketPath: String
  private let logger: Logger
  private let limits: ClientLimits
  private let opened: @Sendable () -> Void

  /// - Parameters:
  ///   - configuration: the file that the director was started with, if any.
  ///   - owner: who announces the VIPs, if that is done.
  ///   - opened: called once, when clients can come.
  public init(
    director: Director, configuration: RunningConfiguration? = nil,
    owner: VirtualAddressOwner? = nil, socketPath: String, logger: Logger,
    opened: @escaping @Sendable () -> Void = {}
  ) {
    self.init(
      director: director, configuration: configuration, owner: owner, socketPath: socketPath,
      logger: logger, limits: ClientLimits(), opened: opened)
  }

  init(
    director: Director, configuration: RunningConfiguration? = nil,
    owner: VirtualAddressOwner? = nil, socketPath: String, logger: Logger, limits: ClientLimits,
    opened: @escaping @Sendable () -> Void = {}
  ) {
    routes = Routes(director: director, runningConfiguration: configuration, owner: owner)
    self.socketPath = socketPath
    self.logger = logger
    self.limits = limits
    self.opened = opened
  }

  /// Serves until graceful shutdown or cancellation, then removes the socket. Throws
  /// `ControlSocketError` where the socket cannot be had.
  public func run() async throws {
    let socket = try ListeningSocket(path: socketPath)
    defer { socket.remove() }
    let (routes, descriptor) = (routes, socket.descriptor)
    let listener = HTTPListener(
      limits: limits, respond: { await routes.respond(to: $0) },
      admit: { channel in peerUser(of: channel).map(refusal) })
    try await listener.serve { bootstrap in
      let channel = try await bootstrap.withBoundSocket(descriptor).get()
      // NIO has let fewer wait.
      listen(descriptor, HTTPListener.backlog)
      return channel
    } opened: {
      logger.info("control socket is open", metadata: ["path": "\(socketPath)"])
      opened()
    }
  }

  private func refusal(of user: uid_t) -> Response? {
    guard user != 0, user != geteuid() else { return nil }
    logger.warning("control client turned away", metadata: ["user": "\(user)"])
    return Response(
      .forbidden,
      "Permission denied (you must be root): user \(user) may not control this director",
      mend: nil)
  }
}

/// The user at the other end when it connected (`SO_PEERCRED`, unix(7)).
private func peerUser(of channel: any Channel) -> EventLoopFuture<uid_t> {
  guard let provider = channel as? any SocketOptionProvider else {
    return channel.eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
  }
  let credentials: EventLoopFuture<PeerCredentials> = provider.unsafeGetSocketOption(
    level: .socket, name: NIOBSDSocket.Option(rawValue: SO_PEERCRED))
  return credentials.map(\.user)
}

/// `struct ucred` of linux/socket.h, which Glibc's module leaves out.
private struct PeerCredentials: Sendable {
  var process: pid_t
  var user: uid_t
  var group: gid_t
}
