// SPDX-License-Identifier: Apache-2.0
import Glibc
import TestSupport

/// An IPv4 or IPv6 address and a port, as system calls take them.
struct SocketAddress {
  private var storage = sockaddr_storage()

  init(_ address: String, port: UInt16) {
    var ipv4 = sockaddr_in()
    var ipv6 = sockaddr_in6()
    if inet_pton(AF_INET, address, &ipv4.sin_addr) == 1 {
      ipv4.sin_family = sa_family_t(AF_INET)
      ipv4.sin_port = port.bigEndian
      withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: ipv4, as: sockaddr_in.self) }
    } else {
      precondition(inet_pton(AF_INET6, address, &ipv6.sin6_addr) == 1, "\(address) is no address")
      ipv6.sin6_family = sa_family_t(AF_INET6)
      ipv6.sin6_port = port.bigEndian
      withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: ipv6, as: sockaddr_in6.self) }
    }
  }

  /// A system call that reads the address.
  func pass<Value>(_ call: (UnsafePointer<sockaddr>, socklen_t) -> Value) -> Value {
    withUnsafePointer(to: storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        call($0, socklen_t(MemoryLayout<sockaddr_storage>.size))
      }
    }
  }

  /// A system call that writes the address.
  mutating func fill<Value>(
    _ call: (UnsafeMutablePointer<sockaddr>, inout socklen_t) -> Value
  ) -> Value {
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call($0, &size) }
    }
  }

  private var family: Int32 { Int32(storage.ss_family) }

  /// A socket of `kind` on a host, bound to this address, whose calls wait ten seconds at most.
  func bound(_ kind: __socket_type, on machine: Machine) throws -> Int32 {
    let descriptor = try machine.namespace.perform {
      socket(family, Int32(kind.rawValue | SOCK_CLOEXEC.rawValue), 0)
    }
    guard descriptor >= 0 else { throw SystemError(call: "socket", errno: errno) }
    var (patience, on) = (timeval(tv_sec: 10, tv_usec: 0), Int32(1))
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(
        descriptor, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
    }
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
    guard pass({ bind(descriptor, $0, $1) }) == 0 else {
      let error = SystemError(call: "bind", errno: errno)
      close(descriptor)
      throw error
    }
    return descriptor
  }
}
