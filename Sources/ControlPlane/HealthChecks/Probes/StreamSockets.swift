// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// TCP sockets that are connected to nobody: what one probe is through with serves another. That
/// spares a check to make, register and close one, a quarter of what the kernel has to do for it.
final class StreamSockets {
  /// Of each IP version; more are closed.
  private static let limit = 64
  private var idle: [ProbeSocket] = []
  private var idleOfVersion6: [ProbeSocket] = []

  /// nil with errno set where there is none to be had.
  func take(to address: IPAddress) -> ProbeSocket? {
    let idle = address.isVersion6 ? idleOfVersion6.popLast() : idle.popLast()
    return idle ?? ProbeSocket(SOCK_STREAM, to: address)
  }

  /// Resets its connection.
  ///
  /// - Parameter address: what it was taken for.
  func giveBack(_ socket: ProbeSocket, of address: IPAddress) {
    guard socket.disconnect() else { return }
    if address.isVersion6 {
      if idleOfVersion6.count < Self.limit { idleOfVersion6.append(socket) }
    } else {
      if idle.count < Self.limit { idle.append(socket) }
    }
  }
}
