// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// A TCP connection that is reset as soon as it is there.
final class ConnectProbe: Probe {
  private let address: IPAddress
  private let port: Port
  private let sockets: ProbeSockets
  private let token: UInt64
  private var socket: ProbeSocket?

  init(_ address: IPAddress, _ port: Port, _ sockets: ProbeSockets, token: UInt64) {
    self.address = address
    self.port = port
    self.sockets = sockets
    self.token = token
  }

  func begin() -> ProbeStep {
    guard let socket = sockets.take(.stream, to: address, for: token) else {
      return .finished(CheckResult(errno: errno, "socket"))
    }
    self.socket = socket
    let code = socket.connect(to: address, port)
    guard code == EINPROGRESS else { return .finished(result(code)) }
    return .waiting
  }

  func proceed(_ readiness: Readiness) -> ProbeStep {
    .finished(result(readiness.hasFailed ? socket?.error ?? 0 : 0))
  }

  func end() {
    if let socket { sockets.giveBack(socket) }
    socket = nil
  }

  private func result(_ code: Int32) -> CheckResult {
    code == 0 ? .success : CheckResult(errno: code, "connect")
  }
}
