// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import Glibc

/// A listening Unix socket that only its owner can open, from its first instant.
struct ListeningSocket {
  /// Whoever listens on it closes it.
  let descriptor: Int32
  private let path: String
  private let identity: FileIdentity

  /// Replaces the file of a socket at which nobody listens any more.
  init(path: String) throws(ControlSocketError) {
    guard let address = UnixAddress(path: path) else {
      throw .tooLong(path: path, limit: UnixAddress.longestPath)
    }
    let descriptor = try Self.newSocket(path)
    do throws(ControlSocketError) {
      // bind(2) gives the file the socket's own mode (unix_bind in af_unix.c): no instant is open
      // to others and the process's umask is left alone.
      guard fchmod(descriptor, 0o600) == 0 else { throw .failed(path: path, "set its mode", errno) }
      if address.with({ bind(descriptor, $0, $1) }) != 0 {
        guard errno == EADDRINUSE else { throw .failed(path: path, "bind it", errno) }
        try Self.removeStale(path, address)
        guard address.with({ bind(descriptor, $0, $1) }) == 0 else {
          throw .failed(path: path, "bind it", errno)
        }
      }
      guard listen(descriptor, HTTPListener.backlog) == 0 else {
        throw .failed(path: path, "listen", errno)
      }
      guard let identity = FileIdentity(path) else { throw .failed(path: path, "find it", errno) }
      self.identity = identity
    } catch {
      close(descriptor)
      throw error
    }
    self.descriptor = descriptor
    self.path = path
  }

  /// Removes the file unless another has taken its place.
  func remove() {
    if FileIdentity(path) == identity { unlink(path) }
  }

  private static func newSocket(_ path: String) throws(ControlSocketError) -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
    guard descriptor >= 0 else { throw .failed(path: path, "open a socket", errno) }
    return descriptor
  }

  private static func removeStale(
    _ path: String, _ address: UnixAddress
  ) throws(ControlSocketError) {
    guard let file = FileIdentity(path), file.isSocket else { throw .otherFile(path: path) }
    let probe = try newSocket(path)
    defer { close(probe) }
    guard fcntl(probe, F_SETFL, O_NONBLOCK) == 0,
      address.with({ connect(probe, $0, $1) }) != 0,
      errno == ECONNREFUSED
    else { throw .inUse(path: path) }
    guard unlink(path) == 0 else { throw .failed(path: path, "replace it", errno) }
  }
}

/// Why the control socket cannot be had.
public enum ControlSocketError: Error, Hashable, Sendable, CustomStringConvertible {
  case tooLong(path: String, limit: Int)
  case inUse(path: String)
  case otherFile(path: String)
  case failed(path: String, _ action: String, _ code: Int32)

  public var description: String {
    switch self {
    case .tooLong(let path, let limit):
      "control socket \(path): a socket's path has at most \(limit) bytes: give a shorter one"
    case .inUse(let path):
      "control socket \(path) is in use by another director: stop that one or give another path"
    case .otherFile(let path):
      "control socket \(path): there is a file that is no socket: remove it or give another path"
    case .failed(let path, let action, let code):
      "control socket \(path): cannot \(action): \(String(cString: strerror(code))): give a path "
        + "in a directory that this user can write to"
    }
  }
}

/// Which file a path leads to. Its inode number alone may be a removed file's, given out again.
private struct FileIdentity: Equatable {
  private let device: dev_t
  private let inode: ino_t
  private let seconds: time_t
  private let nanoseconds: Int
  let isSocket: Bool

  init?(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return nil }
    device = status.st_dev
    inode = status.st_ino
    seconds = status.st_mtim.tv_sec
    nanoseconds = status.st_mtim.tv_nsec
    isSocket = status.st_mode & S_IFMT == S_IFSOCK
  }
}
