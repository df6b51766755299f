// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import Glibc
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceLifecycle
import Synchronization

/// The director's control interface: HTTP/1.1 and JSON on a Unix socket that only its owner can
/// open, for root and the daemon's own user. One request per connection.
public struct AdminServer: Service {
  /// What a client may take, so that none can stall the daemon or grow its memory.
  struct Limits: Sendable {
    /// For the whole of a request to arrive.
    var requestTime = TimeAmount.seconds(10)
    /// For the client to take the whole answer.
    var answerTime = TimeAmount.seconds(30)
    /// For a refused client to stop sending, after which it may miss why it was refused.
    var lingerTime = TimeAmount.seconds(1)
    /// Clients at a time; more are turned away.
    var connections = 32
    /// A thousand commands are about a quarter of it.
    var bodyBytes = 1 << 20
  }

  private let routes: Routes
  private let socketPath: String
  private let logger: Logger
  private let limits: Limits

  public init(director: Director, socketPath: String, logger: Logger) {
    self.init(director: director, socketPath: socketPath, logger: logger, limits: Limits())
  }

  init(director: Director, socketPath: String, logger: Logger, limits: Limits) {
    routes = Routes(director: director)
    self.socketPath = socketPath
    self.logger = logger
    self.limits = limits
  }

  /// Serves until graceful shutdown or cancellation, then removes the socket. Throws
  /// `ControlSocketError` where the socket cannot be had.
  public func run() async throws {
    let listener = try ListeningSocket(path: socketPath)
    defer { listener.remove() }
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let connections = ConnectionCount()
    let channel: any Channel
    do {
      channel = try await bootstrap(group, connections).withBoundSocket(listener.descriptor).get()
    } catch {
      try? await group.shutdownGracefully()
      throw error
    }
    logger.info("control socket is open", metadata: ["path": "\(socketPath)"])
    await withTaskCancellationOrGracefulShutdownHandler {
      try? await channel.closeFuture.get()
    } onCancelOrGracefulShutdown: {
      channel.close(promise: nil)
    }
    await connections.drain(within: Self.drainTime)
    try? await group.shutdownGracefully()
  }

  /// What those who are being served get to be served: the director answers sooner.
  private static let drainTime = Duration.seconds(3)

  private func bootstrap(
    _ group: MultiThreadedEventLoopGroup, _ connections: ConnectionCount
  ) -> ServerBootstrap {
    ServerBootstrap(group: group)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelInitializer { channel in
        let count = connections.open(until: channel.closeFuture)
        return peerUser(of: channel).flatMapThrowing { user in
          try channel.pipeline.syncOperations.configureHTTPServerPipeline(
            withPipeliningAssistance: false, withErrorHandling: false)
          try channel.pipeline.syncOperations.addHandler(
            ClientHandler(
              routes: routes, limits: limits, refusal: refusal(user: user, connections: count)))
        }
      }
  }

  /// Why a client is turned away unheard; nil for one that is welcome.
  private func refusal(user: uid_t, connections: Int) -> Response? {
    guard connections <= limits.connections else {
      return Response(
        .serviceUnavailable, "\(limits.connections) clients are being served already: try again")
    }
    guard user == 0 || user == geteuid() else {
      logger.warning("control client turned away", metadata: ["user": "\(user)"])
      return Response(
        .forbidden,
        "Permission denied (you must be root): user \(user) may not control this director"
      )
    }
    return nil
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

private final class ConnectionCount: Sendable {
  private let value = Atomic<Int>(0)

  /// Counts a connection until it closes, and says how many there are with it.
  func open(until closed: EventLoopFuture<Void>) -> Int {
    closed.whenComplete { _ in self.value.subtract(1, ordering: .relaxed) }
    return value.add(1, ordering: .relaxed).newValue
  }

  /// Waits until all are closed, in a task of its own because the caller's may be cancelled.
  func drain(within limit: Duration) async {
    await Task {
      let deadline = ContinuousClock.now + limit
      while value.load(ordering: .relaxed) > 0, ContinuousClock.now < deadline {
        try? await Task.sleep(for: .milliseconds(5))
      }
    }.value
  }
}
