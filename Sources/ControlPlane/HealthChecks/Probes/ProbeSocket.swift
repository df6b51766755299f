// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// A socket of a probe: it never blocks, and programs that this one starts do not inherit it.
final class ProbeSocket {
  let descriptor: Int32

  /// nil with errno set where there is none to be had.
  init?(_ type: __socket_type, to address: IPAddress, protocol: Int32 = 0) {
    let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    descriptor = socket(address.family, Int32(type.rawValue) | flags, `protocol`)
    guard descriptor >= 0 else { return nil }
  }

  deinit { close(descriptor) }

  /// 0, or the errno; `EINPROGRESS` where the answer is yet to come.
  func connect(to address: IPAddress, _ port: Port) -> Int32 {
    let status = address.withSocketAddress(port) { Glibc.connect(descriptor, $0, $1) }
    return status == 0 ? 0 : errno
  }

  /// Closing resets the connection: no port of this host waits in TIME_WAIT, and the real server
  /// keeps nothing.
  func resetOnClose() {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
  }

  /// What became of it: 0, or an errno.
  var error: Int32 {
    var code: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0 ? code : errno
  }
}

extension IPAddress {
  func withSocketAddress<Result>(
    _ port: Port, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    var storage = sockaddr_storage()
    return withUnsafeMutableBytes(of: &storage) { bytes in
      let size: Int
      switch self {
      case .v4(let address):
        size = MemoryLayout<sockaddr_in>.size
        bytes.storeBytes(
          of: sockaddr_in(
            sin_family: sa_family_t(AF_INET), sin_port: port.rawValue.bigEndian,
            sin_addr: in_addr(s_addr: address.rawValue.bigEndian),
            sin_zero: (0, 0, 0, 0, 0, 0, 0, 0)),
          as: sockaddr_in.self)
      case .v6:
        size = MemoryLayout<sockaddr_in6>.size
        var name = sockaddr_in6()
        name.sin6_family = sa_family_t(AF_INET6)
        name.sin6_port = port.rawValue.bigEndian
        withNetworkOctets { octets in
          withUnsafeMutableBytes(of: &name.sin6_addr) { $0.copyMemory(from: octets) }
        }
        bytes.storeBytes(of: name, as: sockaddr_in6.self)
      }
      return body(bytes.assumingMemoryBound(to: sockaddr.self).baseAddress!, socklen_t(size))
    }
  }
}
