// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceLifecycle
import Synchronization

/// What a client may take, so that none can stall the daemon or grow its memory.
struct ClientLimits: Sendable {
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

/// HTTP/1.1 on one listening socket within limits, one request per connection.
struct HTTPListener: Sendable {
  let limits: ClientLimits
  let respond: @Sendable (Request) async -> Response
  /// Why a client is turned away unheard; nil for one that is welcome.
  var admit: @Sendable (any Channel) -> EventLoopFuture<Response?> = {
    $0.eventLoop.makeSucceededFuture(nil)
  }
  /// Why a request is refused by its head; nil for one that is welcome.
  var authorize: @Sendable (HTTPRequestHead) -> Response? = { _ in nil }
  /// Puts what is below HTTP into a connection.
  var prepare: @Sendable (any Channel) throws -> Void = { _ in }

  /// What those who are being served get to be served: the director answers sooner.
  private static let drainTime = Duration.seconds(3)

  /// Serves until graceful shutdown or cancellation.
  ///
  /// - Parameters:
  ///   - bind: makes the listening channel.
  ///   - opened: called once, when clients can come.
  func serve(
    _ bind: @Sendable (ServerBootstrap) async throws -> any Channel, opened: () -> Void
  ) async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let connections = ConnectionCount()
    let channel: any Channel
    do {
      channel = try await bind(bootstrap(group, connections))
    } catch {
      try? await group.shutdownGracefully()
      throw error
    }
    opened()
    await withTaskCancellationOrGracefulShutdownHandler {
      try? await channel.closeFuture.get()
    } onCancelOrGracefulShutdown: {
      channel.close(promise: nil)
    }
    await connections.drain(within: Self.drainTime)
    try? await group.shutdownGracefully()
  }

  /// The same on TCP. Throws `ListeningError` where the address cannot be had.
  ///
  /// - Parameter purpose: what it is for, in one word.
  func serve(at endpoint: TCPEndpoint, for purpose: String, opened: () -> Void) async throws {
    try await serve(
      { bootstrap in
        do {
          let address = try SocketAddress(
            ipAddress: endpoint.address.description, port: Int(endpoint.port.rawValue))
          return try await bootstrap.serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .bind(to: address).get()
        } catch {
          throw ListeningError(purpose: purpose, endpoint: endpoint, cause: "\(error)")
        }
      }, opened: opened)
  }

  private func bootstrap(
    _ group: MultiThreadedEventLoopGroup, _ connections: ConnectionCount
  ) -> ServerBootstrap {
    ServerBootstrap(group: group)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelInitializer { channel in
        let count = connections.open(until: channel.closeFuture)
        return admit(channel).flatMapThrowing { refusal in
          try prepare(channel)
          try channel.pipeline.syncOperations.configureHTTPServerPipeline(
            withPipeliningAssistance: false, withErrorHandling: false)
          try channel.pipeline.syncOperations.addHandler(
            ClientHandler(
              respond: respond, authorize: authorize, limits: limits,
              refusal: count > limits.connections ? tooMany : refusal))
        }
      }
  }

  private var tooMany: Response {
    Response(
      .serviceUnavailable, "\(limits.connections) clients are being served already: try again")
  }
}

/// An address on TCP cannot be had.
public struct ListeningError: Error, Sendable, CustomStringConvertible {
  /// `metrics` or `api`.
  let purpose: String
  let endpoint: TCPEndpoint
  let cause: String

  public var description: String {
    "\(purpose) address \(endpoint): cannot listen: \(cause): give one of this machine's "
      + "addresses and a free port"
  }
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
