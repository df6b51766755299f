// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A client that sends what it likes.
struct RawClient: ~Copyable {
  let descriptor: Int32

  /// Waits at most `seconds` for each part of an answer.
  init?(at path: String, seconds: Int = 60) {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var timeout = timeval(tv_sec: seconds, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    if status != 0 { return nil }
  }

  deinit { close(descriptor) }

  /// Whether all was taken.
  @discardableResult
  func send(_ bytes: some Collection<UInt8>) -> Bool {
    let bytes = Array(bytes)
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(
          descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      sent += count
    }
    return true
  }

  func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Returns when the first octet has come, and leaves it there.
  func waitForAnswer() {
    var octet: UInt8 = 0
    _ = recv(descriptor, &octet, 1, Int32(MSG_PEEK))
  }

  /// All that comes until the server closes; nil if it does not in time.
  func readToEnd() -> Data? {
    var answer = Data()
    var part = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = recv(descriptor, &part, part.count, 0)
      if count == 0 || (count < 0 && errno == ECONNRESET) { return answer }
      guard count > 0 else { return nil }
      answer.append(contentsOf: part[..<count])
    }
  }

  /// The status of an HTTP answer and its content.
  func answer() -> (status: Int, content: Data)? {
    guard let answer = readToEnd(), let end = answer.range(of: Data("\r\n\r\n".utf8)) else {
      return nil
    }
    let line = String(decoding: answer[..<end.lowerBound], as: UTF8.self).split(separator: " ")
    guard line.count > 1, let status = Int(line[1]) else { return nil }
    return (status, Data(answer[end.upperBound...]))
  }

  static func request(
    _ method: String, _ target: String, body: String = "", at path: String
  ) -> (status: Int, content: Data)? {
    guard let client = RawClient(at: path) else { return nil }
    client.send(
      "\(method) \(target) HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        .utf8)
    return client.answer()
  }

  static func get(_ target: String, at path: String) -> (status: Int, content: Data)? {
    request("GET", target, at: path)
  }
}
