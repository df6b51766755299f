// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A TCP socket that listens on 127.0.0.1, at a port that was free. Whoever makes it closes it.
public struct LoopbackListener: Sendable {
  public let descriptor: Int32
  public let port: UInt16

  public init() throws(SystemError) {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isListening = withUnsafeMutablePointer(to: &address) { [descriptor] in
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0 && listen(descriptor, 16) == 0
          && getsockname(descriptor, $0, &size) == 0
      }
    }
    guard isListening else { throw SystemError(call: "listen", errno: errno) }
    port = UInt16(bigEndian: address.sin_port)
  }
}
