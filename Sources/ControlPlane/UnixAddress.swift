// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The address of a Unix socket, unix(7).
public struct UnixAddress: Sendable {
  private var address = sockaddr_un()
  private let length: socklen_t

  /// Bytes of a path at most: its zero has to fit too.
  public static let longestPath = room - 1
  private static let room = MemoryLayout.size(ofValue: sockaddr_un().sun_path)

  /// A file; nil where the path is empty, too long or has a zero in it.
  public init?(path: String) {
    guard (1...Self.longestPath).contains(path.utf8.count), !path.utf8.contains(0) else {
      return nil
    }
    self.init(name: Array(path.utf8) + [0])
  }

  /// A name in the abstract namespace; nil where it is empty or too long.
  public init?(abstract name: some StringProtocol) {
    guard (1...Self.longestPath).contains(name.utf8.count) else { return nil }
    self.init(name: [0] + Array(name.utf8))
  }

  private init(name: [UInt8]) {
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
    length = socklen_t(MemoryLayout<sockaddr_un>.size - Self.room + name.count)
  }

  /// Calls bind(2), connect(2) and the like.
  public func with<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    withUnsafePointer(to: address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
    }
  }
}
