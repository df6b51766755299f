// SPDX-License-Identifier: Apache-2.0
import Glibc
import TestSupport

/// A TCP connection of a machine of the test network, from a port that the test chooses.
final class StreamSocket {
  private let descriptor: Int32

  /// Connects; throws where nobody answers, or this host still keeps the last connection between
  /// these two (EADDRNOTAVAIL, EADDRINUSE).
  init(
    on machine: Machine, from source: SocketAddress, to destination: SocketAddress
  ) throws {
    descriptor = try source.bound(SOCK_STREAM, on: machine)
    guard destination.pass({ connect(descriptor, $0, $1) }) == 0 else {
      let error = SystemError(call: "connect", errno: errno)
      close(descriptor)
      throw error
    }
  }

  deinit { close(descriptor) }

  /// One request; the answer's body, a line. nginx then closes if it is asked to.
  func get(closes: Bool) throws -> String {
    let request = "GET / HTTP/1.1\r\nHost: vip\r\nConnection: \(closes ? "close" : "keep-alive")"
    guard
      send(descriptor, request + "\r\n\r\n", request.utf8.count + 4, Int32(MSG_NOSIGNAL))
        > 0
    else { throw SystemError(call: "send", errno: errno) }
    var answer = ""
    var octets = [UInt8](repeating: 0, count: 4096)
    while closes || !answer.hasSuffix("\n") || answer.hasSuffix("\r\n") {
      let count = recv(descriptor, &octets, octets.count, 0)
      guard count >= 0 else { throw SystemError(call: "recv", errno: errno) }
      if count == 0 { break }
      answer += String(decoding: octets.prefix(count), as: UTF8.self)
    }
    return answer.split(separator: "\r\n").last.map { String($0.dropLast()) } ?? ""
  }

  /// Segments that were sent again, a SYN among them: tcp(7), TCP_INFO.
  var retransmits: UInt32 {
    var info = tcp_info()
    var size = socklen_t(MemoryLayout<tcp_info>.size)
    getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &info, &size)
    return info.tcpi_total_retrans
  }
}
