// SPDX-License-Identifier: Apache-2.0

/// What has come of an HTTP response, judged as it comes; never more than `limit` octets are kept.
struct HTTPReply {
  /// What a status line may have.
  static let lineLimit = 1024
  /// Of the head and body together.
  static let limit = 65_536

  private let question: HTTPQuestion
  private let body: [UInt8]?
  private var octets: [UInt8] = []
  private var bodyStart: Int?
  private var hasStatus = false

  init(_ question: HTTPQuestion) {
    self.question = question
    body = question.body.map { Array($0.utf8) }
  }

  /// Takes the next octets; nil while more are needed.
  mutating func take(_ more: UnsafeRawBufferPointer) -> CheckResult? {
    // The last octets before these may begin what is looked for.
    let searched = max(0, octets.count - max(3, (body?.count ?? 0) - 1))
    octets.append(
      contentsOf: UnsafeRawBufferPointer(rebasing: more.prefix(Self.limit - octets.count)))
    if !hasStatus, let result = takeStatus() { return result }
    guard hasStatus, let body else { return nil }
    if bodyStart == nil {
      bodyStart = octets.firstPlace(of: [13, 10, 13, 10], from: searched).map { $0 + 4 }
    }
    if let bodyStart, octets.firstPlace(of: body, from: max(bodyStart, searched)) != nil {
      return .success
    }
    return octets.count < Self.limit ? nil : .failure("the first 64 KiB are without the text")
  }

  /// The connection is closed.
  func end() -> CheckResult {
    .failure(hasStatus ? "the body is without the text" : "closed without an HTTP answer")
  }

  /// `HTTP/1.1 200 OK` (RFC 9112 §4); nil if it is fine, or not whole yet.
  private mutating func takeStatus() -> CheckResult? {
    guard let end = octets.prefix(Self.lineLimit).firstIndex(of: 10) else {
      return octets.count < Self.lineLimit ? nil : .failure("no HTTP answer")
    }
    let line = octets[..<end]
    guard line.starts(with: "HTTP/1.".utf8), line.count >= 12, line[8] == 0x20,
      line.count == 12 || [0x20, 0x0d].contains(line[12]),
      let status = UInt16(String(decoding: line[9..<12], as: UTF8.self))
    else { return .failure("no HTTP answer") }
    hasStatus = true
    guard question.statuses.contains(where: { $0.contains(status) }) else {
      return .failure("status \(status)")
    }
    return body == nil ? .success : nil
  }
}

extension [UInt8] {
  /// Where `other` begins, at `start` or later.
  func firstPlace(of other: [UInt8], from start: Int = 0) -> Int? {
    guard let first = other.first else { return start <= count ? start : nil }
    guard other.count <= count, start <= count - other.count else { return nil }
    return withUnsafeBufferPointer { octets in
      other.withUnsafeBufferPointer { wanted in
        var place = start
        while place <= octets.count - wanted.count {
          if octets[place] == first,
            octets[place..<(place + wanted.count)].elementsEqual(wanted)
          {
            return place
          }
          place += 1
        }
        return nil
      }
    }
  }
}
