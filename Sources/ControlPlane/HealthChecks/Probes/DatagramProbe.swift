// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// One datagram and its answer, over a connected socket, to which the kernel gives no one else's.
final class DatagramProbe: Probe {
  /// Of an answer; the rest of a longer one is cut off.
  private static let limit = 4096

  let silenceIsSuccess: Bool
  private let address: IPAddress
  private let port: Port
  private let payload: [UInt8]
  private let judge: (UnsafeRawBufferPointer) -> CheckResult?
  private let sockets: ProbeSockets
  private let token: UInt64
  private var socket: ProbeSocket?

  /// - Parameter judge: says what an answer means; nil if it is none to this question.
  init(
    _ address: IPAddress, _ port: Port, _ payload: [UInt8], _ sockets: ProbeSockets,
    token: UInt64, silenceIsSuccess: Bool = false,
    judge: @escaping (UnsafeRawBufferPointer) -> CheckResult?
  ) {
    self.address = address
    self.port = port
    self.sockets = sockets
    self.token = token
    self.payload = payload
    self.silenceIsSuccess = silenceIsSuccess
    self.judge = judge
  }

  func begin() -> ProbeStep {
    guard let socket = sockets.take(.datagram, to: address, for: token) else {
      return .finished(CheckResult(errno: errno, "socket"))
    }
    self.socket = socket
    let code = socket.connect(to: address, port)
    guard code == 0 else { return .finished(CheckResult(errno: code, "connect")) }
    guard send(socket.descriptor, payload, payload.count, Int32(MSG_NOSIGNAL)) >= 0 else {
      return .finished(CheckResult(errno: errno, "send"))
    }
    return .waiting
  }

  func proceed(_ readiness: Readiness) -> ProbeStep {
    guard let socket else { return .finished(.none("no socket")) }
    return socket.receive(limit: Self.limit, judge)
  }

  func end() {
    if let socket { sockets.giveBack(socket) }
    socket = nil
  }
}

extension DatagramQuestion {
  /// What an answer means; without one that is needed, whatever comes.
  func judge(_ answer: UnsafeRawBufferPointer) -> CheckResult? {
    guard let reply else { return .success }
    return Array(answer).firstPlace(of: reply) != nil
      ? .success : .failure("the reply is without the text")
  }
}
