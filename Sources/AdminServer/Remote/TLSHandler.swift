// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import NIOCore

/// TLS between a channel and its handlers, by OpenSSL over memory: octets of the wire go in and
/// come out of two buffers, none of which outlives a call with something in it.
///
/// What is written before the handshake is done fails: a client that never finishes it is closed
/// by the handlers' own deadline, and nothing ever leaves unencrypted but the answer to one who
/// speaks plain HTTP.
final class TLSHandler: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = IOData
  typealias OutboundOut = IOData

  /// A record's largest content (RFC 8446 §5.1).
  private static let recordBytes = 1 << 14

  private let tls: OpaquePointer
  private let received: OpaquePointer
  private let toSend: OpaquePointer
  private let plainAnswer: ByteBuffer
  private var isEstablished = false
  private var hasFailed = false

  /// - Parameter plainAnswer: what is sent to a client that speaks HTTP without TLS.
  init(_ context: TLSServerContext, plainAnswer: ByteBuffer) throws(APICredentialsError) {
    guard let tls = SSL_new(context.pointer) else { throw .noMemory }
    guard let received = BIO_new(BIO_s_mem()), let toSend = BIO_new(BIO_s_mem()) else {
      SSL_free(tls)
      throw .noMemory
    }
    SSL_set_bio(tls, received, toSend)
    SSL_set_accept_state(tls)
    self.tls = tls
    self.received = received
    self.toSend = toSend
    self.plainAnswer = plainAnswer
  }

  deinit { SSL_free(tls) }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !hasFailed else { return }
    let octets = unwrapInboundIn(data)
    octets.withUnsafeReadableBytes { _ = BIO_write(received, $0.baseAddress, Int32($0.count)) }
    if !isEstablished { shakeHands(context) }
    if isEstablished { decrypt(context) }
    send(context, nil)
    context.flush()
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    guard isEstablished, !hasFailed, case .byteBuffer(let octets) = unwrapOutboundIn(data) else {
      promise?.fail(TLSFailure())
      return
    }
    ERR_clear_error()
    let isTaken = octets.withUnsafeReadableBytes { octets in
      octets.isEmpty || SSL_write(tls, octets.baseAddress, Int32(octets.count)) > 0
    }
    guard isTaken else {
      promise?.fail(TLSFailure())
      return
    }
    send(context, promise)
  }

  func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    if mode != .input, isEstablished, !hasFailed {
      ERR_clear_error()
      SSL_shutdown(tls)
      send(context, nil)
      context.flush()
    }
    context.close(mode: mode, promise: promise)
  }

  private func shakeHands(_ context: ChannelHandlerContext) {
    ERR_clear_error()
    let status = SSL_do_handshake(tls)
    if status == 1 {
      isEstablished = true
    } else if SSL_get_error(tls, status) != SSL_ERROR_WANT_READ {
      hasFailed = true
      let speaksPlain = openssl_error_is_plain_http(ERR_peek_last_error()) != 0
      // What OpenSSL has to say is an alert, of no use to such a client.
      if !speaksPlain { send(context, nil) }
      let answer = speaksPlain ? plainAnswer : ByteBuffer()
      context.writeAndFlush(wrapOutboundOut(.byteBuffer(answer)))
        .assumeIsolated().whenComplete { _ in context.close(promise: nil) }
    }
  }

  private func decrypt(_ context: ChannelHandlerContext) {
    while context.channel.isActive {
      var octets = context.channel.allocator.buffer(capacity: Self.recordBytes)
      var status: Int32 = 0
      ERR_clear_error()
      octets.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.recordBytes) {
        status = SSL_read(tls, $0.baseAddress, Int32($0.count))
        return max(0, Int(status))
      }
      guard status <= 0 else {
        context.fireChannelRead(wrapInboundOut(octets))
        continue
      }
      switch SSL_get_error(tls, status) {
      case SSL_ERROR_WANT_READ: return
      case SSL_ERROR_ZERO_RETURN:
        return context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
      default:
        hasFailed = true
        return context.close(promise: nil)
      }
    }
  }

  /// Writes what OpenSSL has for the wire.
  private func send(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
    let count = BIO_ctrl_pending(toSend)
    var octets = context.channel.allocator.buffer(capacity: count)
    octets.writeWithUnsafeMutableBytes(minimumWritableBytes: count) {
      max(0, Int(BIO_read(toSend, $0.baseAddress, Int32(count))))
    }
    context.write(wrapOutboundOut(.byteBuffer(octets)), promise: promise)
  }
}

/// The connection is not, or no longer, one of TLS.
struct TLSFailure: Error {}
