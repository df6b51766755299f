// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension HealthCheck {
  /// The keys that its kind has.
  mutating func visitKind(_ form: inout ConfigurationForm) {
    switch kind {
    case .tcp, .ping: break
    case .http(var question):
      question.visit(&form)
      kind = .http(question)
    case .https(var question, var tls):
      question.visit(&form)
      form.field("sni", .hostName, &tls.serverName)
      form.field("verify", .flag, &tls.isVerified)
      form.field("ca-file", .path, &tls.authorities)
      kind = .https(question, tls)
    case .udp(var question):
      form.field("payload", .octets, &question.payload)
      form.field("require-reply", .flag, &question.needsReply)
      form.field("reply", .octets, &question.reply)
      question.needsReply = question.needsReply || question.reply != nil
      kind = .udp(question)
    case .dns(var question):
      form.field("name", .domainName, &question.name)
      form.field("type", .recordType, &question.type)
      kind = .dns(question)
    case .command(var command):
      form.required("command", .command, &command)
      kind = .command(command)
    }
  }
}

extension HTTPQuestion {
  fileprivate mutating func visit(_ form: inout ConfigurationForm) {
    form.field("path", .requestTarget, &path)
    form.field("host", .hostName, &host)
    form.field("status", .statuses, &statuses)
    form.field("body", .text, &body)
  }
}

extension ConfigurationField<HealthCheck.Kind> {
  /// What is not said of each has its default.
  static let kind: Self = {
    let kinds: [HealthCheck.Kind] = [
      .tcp, .http(HTTPQuestion()), .https(HTTPQuestion(), TLSQuestion()),
      .udp(DatagramQuestion()), .dns(DNSQuestion()), .ping, .command(""),
    ]
    return Self(
      expected: kinds.map(\.word).joined(separator: " or "),
      parse: { text in kinds.first { $0.word == text } }, text: \.word)
  }()
}

extension ConfigurationField<Port> {
  static let checkedPort = Self(
    expected: "a number from 1 to 65535",
    parse: { text in UInt16(text).flatMap { $0 == 0 ? nil : Port($0) } },
    text: { String($0.rawValue) })
}

extension ConfigurationField<String> {
  /// What stands in a request unchanged: RFC 9112 §3.2.1 has no blanks in it.
  static let requestTarget = Self(
    expected: "a path that begins with / and has no blanks", isQuoted: false,
    parse: { $0.hasPrefix("/") && $0.isVisible ? $0 : nil }, text: { $0 })

  static let hostName = Self(
    expected: "a host's name or address without blanks",
    parse: { !$0.isEmpty && $0.utf8.count <= 255 && $0.isVisible ? $0 : nil }, text: { $0 })

  static let path = Self(
    expected: "an absolute path", isQuoted: false,
    parse: { $0.hasPrefix("/") && !$0.utf8.contains(0) ? $0 : nil }, text: { $0 })

  static let text = Self(
    expected: "a text of 1 to 1024 octets", isQuoted: false,
    parse: { (1...1024).contains($0.utf8.count) ? $0 : nil }, text: { $0 })

  static let domainName = Self(
    expected: "a domain name, or . for the root",
    parse: { DNSMessage.isName($0) ? $0 : nil }, text: { $0 })

  static let command = Self(
    expected: "a program's absolute path, and arguments behind blanks", isQuoted: false,
    parse: { $0.hasPrefix("/") && $0.utf8.count <= 4096 && !$0.utf8.contains(0) ? $0 : nil },
    text: { $0 })
}

extension String {
  /// Whether it has neither blanks nor control characters.
  fileprivate var isVisible: Bool { utf8.allSatisfy { 0x21...0x7e ~= $0 } }
}

extension ConfigurationField<[ClosedRange<UInt16>]> {
  static let statuses = Self(
    expected: "status codes as 200-299,404",
    parse: { text in
      let parts = text.split(separator: ",", omittingEmptySubsequences: false)
      let ranges = parts.compactMap { part -> ClosedRange<UInt16>? in
        let ends = part.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count <= 2, let first = UInt16(ends[0]), let last = UInt16(ends.last!),
          100 <= first, first <= last, last <= 999
        else { return nil }
        return first...last
      }
      return ranges.count == parts.count ? ranges : nil
    },
    text: { ranges in
      ranges.map {
        $0.lowerBound == $0.upperBound ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)"
      }.joined(separator: ",")
    })
}

extension ConfigurationField<DNSQuestion.RecordType> {
  static let recordType = word(DNSQuestion.RecordType.allCases.map { ("\($0)", $0) })
}

extension ConfigurationField<[UInt8]> {
  /// Text as it is, or hexadecimal digits where it could not be told from them.
  static let octets = Self(
    expected: "a text of at most 1400 octets, or hex: and pairs of digits", isQuoted: false,
    parse: { text in
      let octets = text.hasPrefix("hex:") ? octets(inHex: text.dropFirst(4)) : Array(text.utf8)
      return octets.flatMap { $0.count <= 1400 ? $0 : nil }
    },
    text: { octets in
      let text = String(decoding: octets, as: UTF8.self)
      let isText = octets.allSatisfy { 0x20...0x7e ~= $0 } && !text.hasPrefix("hex:")
      return isText ? text : "hex:" + octets.map(\.twoDigits).joined()
    })

  /// nil where it is not pairs of digits.
  static func octets(inHex text: some StringProtocol) -> [UInt8]? {
    let digits = Array(text.utf8)
    guard digits.count % 2 == 0, !digits.contains(0x2b) else { return nil }
    let octets = stride(from: 0, to: digits.count, by: 2).compactMap {
      UInt8(String(decoding: digits[$0..<($0 + 2)], as: UTF8.self), radix: 16)
    }
    return octets.count == digits.count / 2 ? octets : nil
  }
}

extension UInt8 {
  fileprivate var twoDigits: String { (self < 16 ? "0" : "") + String(self, radix: 16) }
}

extension ConfigurationField<UInt32> {
  /// Milliseconds, written as seconds with up to three decimals; at most a day.
  static func seconds(from least: UInt32) -> Self {
    Self(
      expected: "a number of seconds from \(text(least)) to 86400",
      parse: { text in
        guard text.utf8.allSatisfy({ 0x30...0x39 ~= $0 || $0 == 0x2e }), let value = Double(text),
          (Double(least) / 1000...86_400).contains(value)
        else { return nil }
        return UInt32((value * 1000).rounded())
      }, text: text)
  }

  @Sendable private static func text(_ milliseconds: UInt32) -> String {
    let rest = milliseconds % 1000
    guard rest != 0 else { return String(milliseconds / 1000) }
    var decimals = String(String(1000 + rest).dropFirst())
    while decimals.hasSuffix("0") { decimals.removeLast() }
    return "\(milliseconds / 1000).\(decimals)"
  }
}
