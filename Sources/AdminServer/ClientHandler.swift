// SPDX-License-Identifier: Apache-2.0
import Foundation
import NIOCore
import NIOFoundationCompat
import NIOHTTP1

/// One client: gathers its request within the limits, has it answered, and closes.
final class ClientHandler: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let respond: @Sendable (Request) async -> Response
  private let authorize: @Sendable (HTTPRequestHead) -> Response?
  private let limits: ClientLimits
  private let refusal: Response?
  private var head: HTTPRequestHead?
  private var body = ByteBuffer()
  /// The request is complete or refused: what still comes is not looked at.
  private var isComplete = false
  private var hasAnswered = false
  private var hasInputClosed = false
  private var deadline: Scheduled<Void>?

  /// `refusal` answers before anything is read.
  init(
    respond: @escaping @Sendable (Request) async -> Response,
    authorize: @escaping @Sendable (HTTPRequestHead) -> Response?, limits: ClientLimits,
    refusal: Response?
  ) {
    self.respond = respond
    self.authorize = authorize
    self.limits = limits
    self.refusal = refusal
  }

  func channelActive(context: ChannelHandlerContext) {
    if let refusal { return refuse(refusal, context) }
    let channel = context.channel
    let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
    deadline = context.eventLoop.scheduleTask(in: limits.requestTime) {
      handler.value.refuse(
        Response(.requestTimeout, "the request did not arrive in time", mend: "send it at once"),
        channel)
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    deadline?.cancel()
    context.fireChannelInactive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isComplete else { return }
    switch unwrapInboundIn(data) {
    case .head(let head):
      self.head = head
      if let refusal = authorize(head) { return refuse(refusal, context) }
    case .body(var part):
      body.writeBuffer(&part)
      guard body.readableBytes <= limits.bodyBytes else {
        let cause = "a request has at most \(limits.bodyBytes) bytes"
        return refuse(Response(.payloadTooLarge, cause, mend: "send it in parts"), context)
      }
    case .end:
      guard let head else { return }
      isComplete = true
      deadline?.cancel()
      dispatch(Request(head: head, body: Data(buffer: body)), context)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard error is HTTPParserError else { return context.close(promise: nil) }
    if error as? HTTPParserError == .headerOverflow {
      let cause = "the request's target and header fields are too long"
      return refuse(
        Response(.requestHeaderFieldsTooLarge, cause, mend: "send fewer"), context)
    }
    refuse(
      Response(
        .badRequest, "this is not HTTP/1.1: \(error)", mend: "send a request as of RFC 9112"),
      context)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event as? ChannelEvent == .inputClosed {
      hasInputClosed = true
      // Half a request of which no more will come, or an answer that the client has.
      if !isComplete || hasAnswered { context.close(promise: nil) }
    }
    context.fireUserInboundEventTriggered(event)
  }

  private func dispatch(_ request: Request, _ context: ChannelHandlerContext) {
    let channel = context.channel
    let respond = respond
    let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
    context.eventLoop.makeFutureWithTask { await respond(request) }
      .whenSuccess { handler.value.answer($0, channel) }
  }

  private func refuse(_ response: Response, _ context: ChannelHandlerContext) {
    refuse(response, context.channel)
  }

  private func refuse(_ response: Response, _ channel: any Channel) {
    guard !isComplete else { return }
    isComplete = true
    deadline?.cancel()
    answer(response, channel)
  }

  /// Closes when the client has the answer and sends no more, or does not take it in time.
  private func answer(_ response: Response, _ channel: any Channel) {
    deadline = channel.eventLoop.scheduleTask(in: limits.answerTime) {
      channel.close(promise: nil)
    }
    var headers = response.headers
    // RFC 9110 §8.6: these two have no content, and say no length.
    if response.status != .noContent, response.status != .notModified {
      headers.add(name: "Content-Length", value: String(response.body.count))
    }
    headers.add(name: "Connection", value: "close")
    let answer = HTTPResponseHead(version: .http1_1, status: response.status, headers: headers)
    channel.write(HTTPServerResponsePart.head(answer), promise: nil)
    if head?.method != .HEAD, !response.body.isEmpty {
      let body = ByteBuffer(data: response.body)
      channel.write(HTTPServerResponsePart.body(.byteBuffer(body)), promise: nil)
    }
    let handler = NIOLoopBound(self, eventLoop: channel.eventLoop)
    channel.writeAndFlush(HTTPServerResponsePart.end(nil)).whenComplete { result in
      guard case .success = result else { return channel.close(promise: nil) }
      handler.value.linger(channel)
    }
  }

  /// Ends the answer, and waits a little for a client that still sends: closed upon at once, it
  /// might see a broken pipe instead of its answer.
  private func linger(_ channel: any Channel) {
    hasAnswered = true
    deadline?.cancel()
    guard !hasInputClosed else { return channel.close(promise: nil) }
    channel.close(mode: .output, promise: nil)
    deadline = channel.eventLoop.scheduleTask(in: limits.lingerTime) {
      channel.close(promise: nil)
    }
  }
}
