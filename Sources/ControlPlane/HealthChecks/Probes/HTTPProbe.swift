// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// One GET over a connection of its own, which is reset as soon as the answer is known.
final class HTTPProbe: Probe {
  private enum Phase { case connecting, greeting, asking(sent: Int), listening }

  private let address: IPAddress
  private let port: Port
  private let request: [UInt8]
  private let sockets: ProbeSockets
  private let token: UInt64
  private let makeStream: (ProbeSocket) -> (any ByteStream)?
  private var phase = Phase.connecting
  private var socket: ProbeSocket?
  private var stream: (any ByteStream)?
  private var reply: HTTPReply

  /// - Parameter makeStream: what octets go over once connected; nil where that cannot be had.
  init(
    _ address: IPAddress, _ port: Port, _ request: [UInt8], _ reply: HTTPReply,
    _ sockets: ProbeSockets, token: UInt64,
    makeStream: @escaping (ProbeSocket) -> (any ByteStream)?
  ) {
    self.address = address
    self.port = port
    self.request = request
    self.reply = reply
    self.sockets = sockets
    self.token = token
    self.makeStream = makeStream
  }

  func begin() -> ProbeStep {
    guard let socket = sockets.take(.stream, to: address, for: token) else {
      return .finished(CheckResult(errno: errno, "socket"))
    }
    self.socket = socket
    let code = socket.connect(to: address, port)
    guard code == 0 || code == EINPROGRESS else {
      return .finished(CheckResult(errno: code, "connect"))
    }
    return .waiting
  }

  func proceed(_ readiness: Readiness) -> ProbeStep {
    guard let socket else { return .finished(.none("no socket")) }
    if case .connecting = phase {
      let code = readiness.hasFailed ? socket.error : 0
      guard code == 0 else { return .finished(CheckResult(errno: code, "connect")) }
      stream = makeStream(socket)
      phase = .greeting
    }
    guard let stream else { return .finished(.none("tls: certificates cannot be read")) }
    while true {
      switch move(stream, readiness) {
      case .done: continue
      case .waiting: return .waiting
      case .closed: return .finished(reply.end())
      case .failed(let result): return .finished(result)
      }
    }
  }

  func end() {
    stream = nil
    if let socket { sockets.giveBack(socket) }
    socket = nil
  }

  /// The next transfer; a result ends it, success too.
  private func move(_ stream: any ByteStream, _ readiness: Readiness) -> Transfer {
    switch phase {
    case .connecting, .greeting:
      let transfer = stream.greet()
      if case .done = transfer { phase = .asking(sent: 0) }
      return transfer
    case .asking(let sent):
      let transfer = request[sent...].withUnsafeBytes { stream.write($0) }
      guard case .done(let count) = transfer else { return transfer }
      guard sent + count == request.count else {
        phase = .asking(sent: sent + count)
        return transfer
      }
      phase = .listening
      // No answer is there yet, and looking for it is a system call; but what came before the
      // question is not reported again.
      return readiness.isReadable ? transfer : .waiting
    case .listening:
      return withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 16) { room in
        let transfer = stream.read(into: room)
        guard case .done(let count) = transfer else { return transfer }
        return reply.take(UnsafeRawBufferPointer(rebasing: room[..<count])).map(Transfer.failed)
          ?? transfer
      }
    }
  }
}

extension HTTPQuestion {
  /// HTTP/1.0, so that the body comes in one piece.
  func request(to address: IPAddress, _ port: Port) -> [UInt8] {
    let host = host ?? "\(address.inURL):\(port.rawValue)"
    let text =
      "GET \(path) HTTP/1.0\r\nHost: \(host)\r\nUser-Agent: martinet\r\n"
      + "Accept: */*\r\nConnection: close\r\n\r\n"
    return Array(text.utf8)
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
