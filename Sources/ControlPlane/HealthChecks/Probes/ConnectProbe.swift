// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// A TCP connection that is reset as soon as it is there.
final class ConnectProbe: Probe {
  private let address: IPAddress
  private let port: Port
  private var socket: ProbeSocket?

  init(_ address: IPAddress, _ port: Port) {
    self.address = address
    self.port = port
  }

  func begin() -> ProbeStep {
    guard let socket = ProbeSocket(SOCK_STREAM, to: address) else {
      return .finished(CheckResult(errno: errno, "socket"))
    }
    self.socket = socket
    socket.resetOnClose()
    let code = socket.connect(to: address, port)
    guard code == EINPROGRESS else { return .finished(result(code)) }
    return .waiting(for: .writing, on: socket.descriptor)
  }

  func proceed() -> ProbeStep { .finished(result(socket?.error ?? 0)) }

  func end() { socket = nil }

  private func result(_ code: Int32) -> CheckResult {
    code == 0 ? .success : CheckResult(errno: code, "connect")
  }
}
