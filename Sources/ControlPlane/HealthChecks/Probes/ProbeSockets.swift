// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// The kernel's sockets that probes ask by, each registered with the poller once, under a number of
/// its own, and who has them.
///
/// Sockets that are connected to nobody are kept: what one probe is through with serves another.
/// That spares a check to make, register and close one, half of its system calls.
final class ProbeSockets {
  /// Of each kind and IP version; more are closed.
  private static let limit = 64
  private let poller: Poller
  /// By kind and IP version.
  private var idle = [[ProbeSocket]](repeating: [], count: 4)
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
    let kept = idle[Self.place(kind, isVersion6)].popLast()
    guard let socket = kept ?? make(kind, isVersion6: isVersion6) else { return nil }
    owners[socket.number] = token
    return socket
  }

  /// Ends its connection.
  func giveBack(_ socket: ProbeSocket) {
    owners[socket.number] = nil
    let place = Self.place(socket.kind, socket.isVersion6)
    guard socket.disconnect(), idle[place].count < Self.limit else { return }
    idle[place].append(socket)
  }

  private static func place(_ kind: ProbeSocket.Kind, _ isVersion6: Bool) -> Int {
    (kind == .stream ? 0 : 2) + (isVersion6 ? 1 : 0)
  }

  /// Whom a report of the poller's is for: the token that it came under, or that of the probe which
  /// has the socket; nil where none has. A datagram socket that none has and that is not empty is
  /// closed: it would be reported again and again.
  func token(reportedAs token: UInt64) -> UInt64? {
    if token >> 63 == 0 { return token }
    if let owner = owners[token] { return owner }
    for isVersion6 in [false, true] {
      idle[Self.place(.datagram, isVersion6)].removeAll { $0.number == token }
    }
    return nil
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
