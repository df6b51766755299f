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

  init(descriptor: Int32) { self.descriptor = descriptor }

  /// A connection over TCP to a server on this host.
  static func connected(port: UInt16, seconds: Int = 60) -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var timeout = timeval(tv_sec: seconds, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    _ = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    return descriptor
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

  struct Answer {
    let status: Int
    /// By their names in lower case.
    let headers: [String: String]
    let content: Data

    var text: String { String(decoding: content, as: UTF8.self) }
  }

  /// A whole HTTP answer.
  func answer() -> Answer? {
    guard let answer = readToEnd(), let end = answer.range(of: Data("\r\n\r\n".utf8)) else {
      return nil
    }
    let line = String(decoding: answer[..<end.lowerBound], as: UTF8.self).split(separator: " ")
    guard line.count > 1, let status = Int(line[1]) else { return nil }
    let fields = String(decoding: answer[..<end.lowerBound], as: UTF8.self)
      .split(separator: "\r\n").dropFirst().compactMap { field -> (String, String)? in
        let pair = field.split(separator: ":", maxSplits: 1)
        return pair.count == 2 ? (pair[0].lowercased(), String(pair[1].dropFirst())) : nil
      }
    return Answer(
      status: status, headers: Dictionary(fields) { $1 }, content: Data(answer[end.upperBound...]))
  }

  static func request(
    _ method: String, _ target: String, body: String = "", fields: [String: String] = [:],
    at path: String
  ) -> Answer? {
    guard let client = RawClient(at: path) else { return nil }
    let lines = fields.map { "\($0): \($1)\r\n" }.joined()
    client.send(
      """
      \(method) \(target) HTTP/1.1\r\nHost: x\r\n\(lines)\
      Content-Length: \(body.utf8.count)\r\n\r\n\(body)
      """.utf8)
    return client.answer()
  }

  static func get(_ target: String, at path: String) -> Answer? {
    request("GET", target, at: path)
  }
}
