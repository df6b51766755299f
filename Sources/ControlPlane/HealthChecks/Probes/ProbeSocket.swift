// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// A socket of a probe: it never blocks, and programs that this one starts do not inherit it.
final class ProbeSocket {
  enum Kind {
    /// TCP; what it has to say it says once.
    case stream
    /// UDP.
    case datagram
  }

  let kind: Kind
  let isVersion6: Bool
  let descriptor: Int32
  /// Not given to another socket, unlike the descriptor.
  let number: UInt64

  /// nil with errno set where there is none to be had.
  init?(_ kind: Kind, isVersion6: Bool, number: UInt64) {
    let type = kind == .stream ? SOCK_STREAM : SOCK_DGRAM
    (self.kind, self.isVersion6, self.number) = (kind, isVersion6, number)
    let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    descriptor = socket(isVersion6 ? AF_INET6 : AF_INET, Int32(type.rawValue) | flags, 0)
    guard descriptor >= 0 else { return nil }
  }

  deinit {
    guard descriptor >= 0 else { return }
    if kind == .stream { disconnect() }
    close(descriptor)
  }

  /// 0, or the errno; `EINPROGRESS` where the answer is yet to come.
  func connect(to address: IPAddress, _ port: Port) -> Int32 {
    let status = address.withSocketAddress(port) { Glibc.connect(descriptor, $0, $1) }
    return status == 0 ? 0 : errno
  }

  /// Resets a stream's connection (connect(2), `AF_UNSPEC`): no port of this host waits in
  /// TIME_WAIT, the real server keeps nothing. A datagram socket has no port then, and what came to
  /// it is thrown away. Returns whether the socket is as it was made.
  @discardableResult func disconnect() -> Bool {
    var nobody = sockaddr()
    nobody.sa_family = sa_family_t(AF_UNSPEC)
    guard Glibc.connect(descriptor, &nobody, socklen_t(MemoryLayout<sockaddr>.size)) == 0 else {
      return false
    }
    return kind == .stream || isDrained()
  }

  /// Whether nothing is left to receive; more than a few are not waited for.
  private func isDrained() -> Bool {
    var octet: UInt8 = 0
    for _ in 0..<16 {
      if recv(descriptor, &octet, 1, 0) < 0, errno == EAGAIN { return true }
    }
    return false
  }

  /// Until a datagram means something to `judge`: the next step. Longer ones are cut off.
  func receive(
    limit: Int, _ judge: (UnsafeRawBufferPointer) -> CheckResult?
  ) -> ProbeStep {
    withUnsafeTemporaryAllocation(byteCount: limit, alignment: 16) { room in
      // So many at most in one go: a flood keeps no other check waiting.
      for _ in 0..<16 {
        let count = recv(descriptor, room.baseAddress, room.count, 0)
        if count < 0 {
          return errno == EAGAIN ? .waiting : .finished(CheckResult(errno: errno, "receive"))
        }
        if let result = judge(UnsafeRawBufferPointer(rebasing: room[..<count])) {
          return .finished(result)
        }
      }
      return .waiting
    }
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
