// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Octets to and fro over a connected socket that does not block.
protocol ByteStream: AnyObject {
  /// Nothing of the question goes before it is done.
  func greet() -> Transfer
  func write(_ octets: UnsafeRawBufferPointer) -> Transfer
  func read(into octets: UnsafeMutableRawBufferPointer) -> Transfer
}

/// What came of moving octets.
enum Transfer: Equatable {
  /// So many; of a greeting none.
  case done(Int)
  case waiting
  /// The other end has said all.
  case closed
  case failed(CheckResult)
}

/// A connection as it is.
final class PlainStream: ByteStream {
  private let socket: ProbeSocket

  init(_ socket: ProbeSocket) { self.socket = socket }

  func greet() -> Transfer { .done(0) }

  func write(_ octets: UnsafeRawBufferPointer) -> Transfer {
    let count = send(
      socket.descriptor, octets.baseAddress, octets.count, Int32(MSG_NOSIGNAL))
    return count >= 0 ? .done(count) : transfer("send")
  }

  func read(into octets: UnsafeMutableRawBufferPointer) -> Transfer {
    let count = recv(socket.descriptor, octets.baseAddress, octets.count, 0)
    return count > 0 ? .done(count) : count == 0 ? .closed : transfer("receive")
  }

  private func transfer(_ action: String) -> Transfer {
    errno == EAGAIN ? .waiting : .failed(CheckResult(errno: errno, action))
  }
}
