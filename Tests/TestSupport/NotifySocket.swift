// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import Glibc

/// A service manager's end of sd_notify(3).
public final class NotifySocket {
  /// What NOTIFY_SOCKET says.
  public let name: String
  private let descriptor: Int32

  /// - Parameter name: a path, or an abstract name behind `@`.
  public init(_ name: String) throws {
    self.name = name
    let isAbstract = name.hasPrefix("@")
    guard
      let address = isAbstract
        ? UnixAddress(abstract: name.dropFirst()) : UnixAddress(path: name)
    else { throw Failure("\(name) is no socket's name") }
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC, 0)
    guard address.with({ bind(descriptor, $0, $1) }) == 0 else {
      throw SystemError(call: "bind", errno: errno)
    }
  }

  deinit {
    close(descriptor)
    if !name.hasPrefix("@") { unlink(name) }
  }

  /// The lines of the next datagram; none if it does not come in time.
  public func receive(seconds: Double = 10) -> [String] {
    var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&wait, 1, Int32(seconds * 1000)) == 1 else { return [] }
    var octets = [UInt8](repeating: 0, count: 4096)
    let count = recv(descriptor, &octets, octets.count, 0)
    return String(decoding: octets.prefix(max(0, count)), as: UTF8.self)
      .split(separator: "\n").map(String.init)
  }

  /// Receives until a datagram has this line; returns all of its lines.
  public func receive(until line: String, seconds: Double = 30) -> [String] {
    let deadline = monotonicSeconds() + seconds
    while monotonicSeconds() < deadline {
      let lines = receive(seconds: max(0, deadline - monotonicSeconds()))
      if lines.contains(line) { return lines }
    }
    return []
  }
}
