// SPDX-License-Identifier: Apache-2.0
import Glibc
import TestSupport

/// A UDP socket of a machine of the test network.
final class DatagramSocket: Sendable {
  private let descriptor: Int32

  init(on machine: Machine, address: String, port: UInt16) throws {
    descriptor = try machine.namespace.perform {
      let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
      guard descriptor >= 0 else { throw SystemError(call: "socket", errno: errno) }
      var patience = timeval(tv_sec: 2, tv_usec: 0)
      setsockopt(
        descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
      let status = withAddress(address, port) { bind(descriptor, $0, $1) }
      guard status == 0 else {
        let error = SystemError(call: "bind \(address):\(port)", errno: errno)
        close(descriptor)
        throw error
      }
      return descriptor
    }
  }

  deinit { close(descriptor) }

  /// Sends `text` and returns what this very address answers within two seconds, or nothing.
  func ask(_ text: String, of address: String, port: UInt16) throws -> String {
    let status = withAddress(address, port) { connect(descriptor, $0, $1) }
    guard status == 0 else { throw SystemError(call: "connect \(address)", errno: errno) }
    _ = send(descriptor, text, text.utf8.count, 0)
    var answer = [UInt8](repeating: 0, count: 64)
    let count = recv(descriptor, &answer, answer.count, 0)
    return String(decoding: answer.prefix(max(0, count)), as: UTF8.self)
  }

  /// Answers whoever asks, until the socket is shut down.
  func serve(_ answer: String) {
    var peer = sockaddr_in()
    var question = [UInt8](repeating: 0, count: 64)
    while true {
      var size = socklen_t(MemoryLayout<sockaddr_in>.size)
      let count = withGenericAddress(&peer) {
        recvfrom(descriptor, &question, question.count, 0, $0, &size)
      }
      if count > 0 {
        _ = withGenericAddress(&peer) {
          sendto(descriptor, answer, answer.utf8.count, 0, $0, size)
        }
      } else if count == 0 || errno != EAGAIN {
        return
      }
    }
  }

  /// Ends `serve`.
  func shutDown() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
}

/// A UDP service with one answer, on a thread of its own until it goes.
final class DatagramServer {
  private let socket: DatagramSocket
  private var thread = pthread_t()

  init(on machine: Machine, address: String, port: UInt16, answer: String) throws {
    socket = try DatagramSocket(on: machine, address: address, port: port)
    let work = Unmanaged.passRetained(Service(socket: socket, answer: answer))
    let status = pthread_create(
      &thread, nil,
      { pointer in
        let service = Unmanaged<Service>.fromOpaque(pointer!).takeRetainedValue()
        service.socket.serve(service.answer)
        return nil
      }, work.toOpaque())
    guard status == 0 else {
      work.release()
      throw SystemError(call: "pthread_create", errno: status)
    }
  }

  deinit {
    socket.shutDown()
    pthread_join(thread, nil)
  }

  private final class Service {
    let socket: DatagramSocket
    let answer: String
    init(socket: DatagramSocket, answer: String) {
      self.socket = socket
      self.answer = answer
    }
  }
}

private func withAddress<Value>(
  _ address: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Value
) -> Value {
  var name = sockaddr_in()
  name.sin_family = sa_family_t(AF_INET)
  name.sin_port = port.bigEndian
  inet_pton(AF_INET, address, &name.sin_addr)
  return withGenericAddress(&name) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
}

private func withGenericAddress<Value>(
  _ name: inout sockaddr_in, _ body: (UnsafeMutablePointer<sockaddr>) -> Value
) -> Value {
  withUnsafeMutablePointer(to: &name) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1, body)
  }
}
