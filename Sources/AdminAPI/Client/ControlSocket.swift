// SPDX-License-Identifier: Apache-2.0
import Foundation

/// HTTP/1.1 over a Unix socket, one request per connection, with a deadline.
struct ControlSocket: Sendable {
  /// The largest answer that is read, bytes.
  private static let answerLimit = 256 << 20

  let path: String
  let timeoutSeconds: Int

  struct Answer {
    let status: Int
    /// By their names in lower case.
    let headers: [String: String]
    let content: Data
  }

  /// - Parameter accept: the media type that is asked for.
  func exchange(
    _ method: String, _ target: String, accept: String = "application/json", body: Data? = nil
  ) throws(ControlError) -> Answer {
    let descriptor = try connected()
    defer { close(descriptor) }
    let deadline = Date(timeIntervalSinceNow: TimeInterval(timeoutSeconds))
    var head = "\(method) \(target) HTTP/1.1\r\nHost: martinet\r\nConnection: close\r\n"
    head += "Accept: \(accept)\r\n"
    if let body {
      head += "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n"
    }
    // The daemon may refuse before it has read all; then its answer says why.
    _ = send(Data((head + "\r\n").utf8) + (body ?? Data()), to: descriptor)
    return try parse(try readAll(from: descriptor, until: deadline))
  }

  private func connected() throws(ControlError) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let room = MemoryLayout.size(ofValue: address.sun_path) - 1
    guard path.utf8.count <= room, !path.utf8.contains(0) else {
      throw .system("\(path): a socket's path has at most \(room) bytes: give a shorter one")
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
    guard descriptor >= 0 else { throw .system("cannot open a socket: \(describe(errno))") }
    var timeout = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
    for option in [SO_SNDTIMEO, SO_RCVTIMEO] {
      let size = socklen_t(MemoryLayout<timeval>.size)
      setsockopt(descriptor, SOL_SOCKET, option, &timeout, size)
    }
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard status != 0 else { return descriptor }
    let code = errno
    close(descriptor)
    switch code {
    case ENOENT, ECONNREFUSED, ENOTSOCK: throw .noDaemon(socketPath: path)
    case EACCES, EPERM: throw .permissionDenied(socketPath: path)
    case EAGAIN: throw .timedOut(socketPath: path)
    default: throw .system("cannot connect to \(path): \(describe(code))")
    }
  }

  private func send(_ data: Data, to descriptor: Int32) -> Bool {
    data.withUnsafeBytes { bytes in
      var sent = 0
      while sent < bytes.count {
        let count = Glibc.send(
          descriptor, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        sent += count
      }
      return true
    }
  }

  private func readAll(from descriptor: Int32, until deadline: Date) throws(ControlError) -> Data {
    var answer = Data()
    var part = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = recv(descriptor, &part, part.count, 0)
      if count == 0 { return answer }
      if count < 0, errno == EINTR { continue }
      // A daemon that closes with part of the request unread resets the connection after it.
      if count < 0, errno == ECONNRESET { return answer }
      guard count > 0, deadline > Date() else { throw .timedOut(socketPath: path) }
      answer.append(contentsOf: part[..<count])
      guard answer.count <= Self.answerLimit else { throw .unintelligible(socketPath: path) }
    }
  }

  /// The daemon always says how long its content is, so a part is told from the whole.
  private func parse(_ answer: Data) throws(ControlError) -> Answer {
    guard let end = answer.range(of: Data("\r\n\r\n".utf8)) else {
      throw .unintelligible(socketPath: path)
    }
    let lines = String(decoding: answer[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
    let words = lines.first?.split(separator: " ") ?? []
    let fields = lines.dropFirst().compactMap { line -> (String, String)? in
      let field = line.split(separator: ":", maxSplits: 1)
      guard field.count == 2 else { return nil }
      return (field[0].lowercased(), String(field[1].drop { $0 == " " }))
    }
    let headers = Dictionary(fields) { first, _ in first }
    let content = answer[end.upperBound...]
    // RFC 9110 §8.6: an answer without content says no length.
    guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]),
      headers["content-length"] == String(content.count)
        || status == 204 && headers["content-length"] == nil && content.isEmpty
    else { throw .unintelligible(socketPath: path) }
    return Answer(status: status, headers: headers, content: Data(content))
  }

  private func describe(_ code: Int32) -> String { String(cString: strerror(code)) }
}
