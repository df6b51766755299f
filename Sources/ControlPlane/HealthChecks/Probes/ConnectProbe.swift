// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// A TCP connection that is reset as soon as it is there.
final class ConnectProbe: Probe {
  private let address: IPAddress
  private let port: Port
  private let sockets: StreamSockets
  private var socket: ProbeSocket?

  init(_ address: IPAddress, _ port: Port, _ sockets: StreamSockets) {
    self.address = address
    self.port = port
    self.sockets = sockets
  }

  func begin() -> ProbeStep {
    guard let socket = sockets.take(to: address) else {
      return .finished(CheckResult(errno: errno, "socket"))
    }
    self.socket = socket
    let code = socket.connect(to: address, port)
    guard code == EINPROGRESS else { return .finished(result(code)) }
    return socket.waiting(for: .writing)
  }

  func proceed(hasFailed: Bool) -> ProbeStep {
    .finished(result(hasFailed ? socket?.error ?? 0 : 0))
  }

  func end() {
    if let socket { sockets.giveBack(socket, of: address) }
    socket = nil
  }

  private func result(_ code: Int32) -> CheckResult {
    code == 0 ? .success : CheckResult(errno: code, "connect")
  }
}
