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
  /// Clients at a time; as many more are told to come again, and others wait in the kernel until
  /// one of them has gone.
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

  /// Clients who may wait in the kernel, `listen(2)`.
  static let backlog: Int32 = 1024
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
    let places = Places(limits.connections)
    let channel: any Channel
    do {
      channel = try await bind(bootstrap(group, places))
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
    await places.drain(within: Self.drainTime)
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
    _ group: MultiThreadedEventLoopGroup, _ places: Places
  ) -> ServerBootstrap {
    ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: Self.backlog)
      .serverChannelOption(.maxMessagesPerRead, value: 1)
      .serverChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(Door(places))
        }
      }
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelInitializer { channel in
        setUp(channel, authorize: places.take(for: channel) == .served ? authorize : turnAway)
      }
  }

  private func setUp(
    _ channel: any Channel, authorize: @escaping @Sendable (HTTPRequestHead) -> Response?
  ) -> EventLoopFuture<Void> {
    admit(channel).flatMapThrowing { refusal in
      try prepare(channel)
      try channel.pipeline.syncOperations.configureHTTPServerPipeline(
        withPipeliningAssistance: false, withErrorHandling: false)
      try channel.pipeline.syncOperations.addHandler(
        ClientHandler(respond: respond, authorize: authorize, limits: limits, refusal: refusal))
    }
  }

  /// Told before its request, a client would miss it: for what it still sends a reset is sent back,
  /// and within a TLS handshake nothing can be said.
  @Sendable private func turnAway(_ head: HTTPRequestHead) -> Response? { tooMany }

  private var tooMany: Response {
    Response(
      .serviceUnavailable, "\(limits.connections) clients are being served already",
      mend: "try again")
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

/// Lets clients in one by one, as long as there is a place. A closed door keeps nobody's memory but
/// the kernel's, and none of them is turned away unheard.
private final class Door: ChannelOutboundHandler {
  typealias OutboundIn = Never

  private let places: Places

  init(_ places: Places) { self.places = places }

  /// The listening channel asks for the next client.
  func read(context: ChannelHandlerContext) {
    if places.hasRoom { context.read() }
  }
}

/// Who is there, at most twice as many as are served. Changed on the listener's one thread.
private final class Places: Sendable {
  enum Place { case served, turnedAway }

  private let limit: Int
  private let served = Atomic(0)
  private let turnedAway = Atomic(0)

  init(_ limit: Int) { self.limit = limit }

  var hasRoom: Bool {
    served.load(ordering: .relaxed) < limit || turnedAway.load(ordering: .relaxed) < limit
  }

  /// A place for a client until it goes and the next one may come.
  func take(for client: any Channel) -> Place {
    let place = served.load(ordering: .relaxed) < limit ? Place.served : .turnedAway
    add(1, to: place)
    client.closeFuture.whenComplete { _ in
      self.add(-1, to: place)
      client.parent?.read()
    }
    return place
  }

  private func add(_ number: Int, to place: Place) {
    switch place {
    case .served: served.add(number, ordering: .relaxed)
    case .turnedAway: turnedAway.add(number, ordering: .relaxed)
    }
  }

  /// Waits until all are gone, in a task of its own because the caller's may be cancelled.
  func drain(within limit: Duration) async {
    await Task {
      let deadline = ContinuousClock.now + limit
      while served.load(ordering: .relaxed) + turnedAway.load(ordering: .relaxed) > 0,
        ContinuousClock.now < deadline
      {
        try? await Task.sleep(for: .milliseconds(5))
      }
    }.value
  }
}
