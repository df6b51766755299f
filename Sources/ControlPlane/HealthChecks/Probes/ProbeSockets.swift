// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// The kernel's sockets that probes ask by, each registered with the poller once, under a number of
/// its own, and who has them.
///
/// TCP sockets that are connected to nobody are kept: what one probe is through with serves
/// another. That spares a check to make, register and close one, half of its system calls.
final class ProbeSockets {
  /// Of each IP version; more are closed.
  private static let limit = 64
  private let poller: Poller
  private var idle: [ProbeSocket] = []
  private var idleOfVersion6: [ProbeSocket] = []
  /// Probes' tokens are smaller.
  private var lastNumber: UInt64 = 1 << 63
  /// By a socket's number: the token of the probe that has it.
  private var owners: [UInt64: UInt64] = [:]

  init(poller: Poller) { self.poller = poller }

  /// nil with errno set where there is none to be had.
  ///
  /// - Parameter token: what it is to report under until it is given back.
  func take(_ kind: ProbeSocket.Kind, to address: IPAddress, for token: UInt64) -> ProbeSocket? {
    let isVersion6 = address.isVersion6
    let kept =
      kind != .stream ? nil : isVersion6 ? idleOfVersion6.popLast() : idle.popLast()
    guard let socket = kept ?? make(kind, isVersion6: isVersion6) else { return nil }
    owners[socket.number] = token
    return socket
  }

  /// Resets its connection.
  func giveBack(_ socket: ProbeSocket) {
    owners[socket.number] = nil
    guard socket.kind == .stream, socket.disconnect() else { return }
    if socket.isVersion6 {
      if idleOfVersion6.count < Self.limit { idleOfVersion6.append(socket) }
    } else {
      if idle.count < Self.limit { idle.append(socket) }
    }
  }

  /// Whom a report of the poller's is for: the token that it came under, or that of the probe which
  /// has the socket; nil where none has.
  func token(reportedAs token: UInt64) -> UInt64? {
    token >> 63 == 0 ? token : owners[token]
  }

  private func make(_ kind: ProbeSocket.Kind, isVersion6: Bool) -> ProbeSocket? {
    lastNumber += 1
    guard let socket = ProbeSocket(kind, isVersion6: isVersion6, number: lastNumber) else {
      return nil
    }
    let code =
      kind == .stream
      ? poller.watchChanges(of: socket.descriptor, as: socket.number)
      : poller.watch(socket.descriptor, as: socket.number)
    guard code == 0 else {
      errno = code
      return nil
    }
    return socket
  }
}
