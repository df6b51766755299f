// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import TestSupport

/// A TCP server on loopback that treats every connection the same way, one after the other.
final class LoopbackServer: Sendable {
  struct Connection {
    fileprivate let descriptor: Int32
    fileprivate let server: LoopbackServer

    /// What came first.
    func receive() -> String {
      var octets = [UInt8](repeating: 0, count: 4096)
      let count = recv(descriptor, &octets, octets.count, 0)
      let text = String(decoding: octets.prefix(max(0, count)), as: UTF8.self)
      server.texts.withLock { $0.append(text) }
      return text
    }

    /// False when the other end is gone.
    @discardableResult
    func send(_ text: String) -> Bool {
      let octets = Array(text.utf8)
      var sent = 0
      while sent < octets.count {
        let count = octets[sent...].withUnsafeBytes {
          Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard count > 0 else { return false }
        sent += count
      }
      return true
    }

    func waitUntilClosed() {
      var octet: UInt8 = 0
      while recv(descriptor, &octet, 1, 0) > 0 {}
    }
  }

  var port: UInt16 { listener.port }
  private let listener: LoopbackListener
  private let texts = Mutex<[String]>([])
  private let isOpen = Mutex(true)

  init(_ treat: @escaping @Sendable (Connection) -> Void) throws {
    listener = try LoopbackListener()
    let work = Unmanaged.passRetained(Work(self, treat))
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { context in
        let work = Unmanaged<Work>.fromOpaque(context!).takeRetainedValue()
        while case let connection = accept(work.descriptor, nil, nil), connection >= 0 {
          if let server = work.server {
            work.treat(Connection(descriptor: connection, server: server))
          }
          close(connection)
        }
        return nil
      }, work.toOpaque())
    pthread_detach(thread)
  }

  deinit { stop() }

  /// Takes no more connections.
  func stop() {
    isOpen.withLock { isOpen in
      if isOpen {
        shutdown(listener.descriptor, Int32(SHUT_RDWR))
        close(listener.descriptor)
      }
      isOpen = false
    }
  }

  /// What connections sent, as far as it was received.
  var received: [String] { texts.withLock { $0 } }

  private final class Work: @unchecked Sendable {
    weak var server: LoopbackServer?
    let descriptor: Int32
    let treat: @Sendable (Connection) -> Void

    init(_ server: LoopbackServer, _ treat: @escaping @Sendable (Connection) -> Void) {
      (self.server, self.treat) = (server, treat)
      descriptor = server.listener.descriptor
    }
  }
}
