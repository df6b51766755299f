// SPDX-License-Identifier: Apache-2.0
import Glibc
import TestSupport

/// A UDP socket of a machine of the test network.
final class DatagramSocket: Sendable {
  private let descriptor: Int32

  init(on machine: Machine, address: String, port: UInt16) throws {
    descriptor = try SocketAddress(address, port: port).bound(SOCK_DGRAM, on: machine)
  }

  deinit { close(descriptor) }

  /// Sends `text` and returns what this very address answers within ten seconds, or nothing.
  func ask(_ text: String, of address: String, port: UInt16) throws -> String {
    try connect(to: address, port: port)
    send(text)
    return receive()
  }

  /// From now on it talks to this address alone.
  func connect(to address: String, port: UInt16) throws {
    let peer = SocketAddress(address, port: port)
    guard peer.pass({ Glibc.connect(descriptor, $0, $1) }) == 0 else {
      throw SystemError(call: "connect \(address)", errno: errno)
    }
  }

  func send(_ text: String) { _ = Glibc.send(descriptor, text, text.utf8.count, 0) }

  /// The next datagram's text; empty when none comes, or none is there and `waits` is false.
  func receive(waits: Bool = true) -> String {
    var answer = [UInt8](repeating: 0, count: 64)
    let count = recv(descriptor, &answer, answer.count, waits ? 0 : Int32(MSG_DONTWAIT))
    return String(decoding: answer.prefix(max(0, count)), as: UTF8.self)
  }

  /// Answers whoever asks, until the socket is shut down.
  func serve(_ answer: String) {
    var peer = SocketAddress("0.0.0.0", port: 0)
    var question = [UInt8](repeating: 0, count: 64)
    while true {
      let count = peer.fill { recvfrom(descriptor, &question, question.count, 0, $0, &$1) }
      if count > 0 {
        _ = peer.pass { sendto(descriptor, answer, answer.utf8.count, 0, $0, $1) }
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
