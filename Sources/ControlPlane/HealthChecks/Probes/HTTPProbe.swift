// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// One GET over a connection of its own. HTTP/1.0, so that the body comes in one piece.
final class HTTPProbe: Probe {
  private enum Phase { case connecting, greeting, asking(sent: Int), listening }

  private let address: IPAddress
  private let port: Port
  private let question: HTTPQuestion
  private let sockets: StreamSockets
  private let makeStream: (ProbeSocket) -> (any ByteStream)?
  private var phase = Phase.connecting
  private var socket: ProbeSocket?
  private var stream: (any ByteStream)?
  private var reply: HTTPReply

  /// - Parameter makeStream: what octets go over once connected; nil where that cannot be had.
  init(
    _ address: IPAddress, _ port: Port, _ question: HTTPQuestion, _ sockets: StreamSockets,
    makeStream: @escaping (ProbeSocket) -> (any ByteStream)?
  ) {
    self.address = address
    self.port = port
    self.question = question
    self.sockets = sockets
    self.makeStream = makeStream
    reply = HTTPReply(question)
  }

  func begin() -> ProbeStep {
    guard let socket = sockets.take(to: address) else {
      return .finished(CheckResult(errno: errno, "socket"))
    }
    self.socket = socket
    let code = socket.connect(to: address, port)
    guard code == 0 || code == EINPROGRESS else {
      return .finished(CheckResult(errno: code, "connect"))
    }
    return socket.waiting(for: .writing)
  }

  func proceed(hasFailed: Bool) -> ProbeStep {
    guard let socket else { return .finished(.none("no socket")) }
    if case .connecting = phase {
      let code = hasFailed ? socket.error : 0
      guard code == 0 else { return .finished(CheckResult(errno: code, "connect")) }
      stream = makeStream(socket)
      phase = .greeting
    }
    guard let stream else { return .finished(.none("tls: certificates cannot be read")) }
    while true {
      switch move(stream) {
      case .done: continue
      case .waiting(let interest): return socket.waiting(for: interest)
      case .closed: return .finished(reply.end())
      case .failed(let result): return .finished(result)
      }
    }
  }

  func end() {
    stream = nil
    if let socket { sockets.giveBack(socket, of: address) }
    socket = nil
  }

  /// The next transfer; a result ends it, success too.
  private func move(_ stream: any ByteStream) -> Transfer {
    switch phase {
    case .connecting, .greeting:
      let transfer = stream.greet()
      if case .done = transfer { phase = .asking(sent: 0) }
      return transfer
    case .asking(let sent):
      let request = Array(request.utf8)
      let transfer = request[sent...].withUnsafeBytes { stream.write($0) }
      guard case .done(let count) = transfer else { return transfer }
      guard sent + count == request.count else {
        phase = .asking(sent: sent + count)
        return transfer
      }
      phase = .listening
      // No answer is there yet, and looking for it is a system call.
      return .waiting(.reading)
    case .listening:
      return withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 16) { room in
        let transfer = stream.read(into: room)
        guard case .done(let count) = transfer else { return transfer }
        return reply.take(UnsafeRawBufferPointer(rebasing: room[..<count])).map(Transfer.failed)
          ?? transfer
      }
    }
  }

  private var request: String {
    let host = question.host ?? "\(address.inURL):\(port.rawValue)"
    return "GET \(question.path) HTTP/1.0\r\nHost: \(host)\r\nUser-Agent: martinet\r\n"
      + "Accept: */*\r\nConnection: close\r\n\r\n"
  }
}

extension IPAddress {
  /// With brackets where a port may follow.
  var inURL: String {
    switch self {
    case .v4(let address): "\(address)"
    case .v6(let address): "[\(address)]"
    }
  }
}
