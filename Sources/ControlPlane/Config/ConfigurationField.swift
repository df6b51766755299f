// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// How a scalar of the configuration file is read and written.
struct ConfigurationField<Value: Sendable>: Sendable {
  private let expectation: @Sendable () -> String
  /// Whether a text that is wrong is quoted: not where somebody may have put a password.
  let isQuoted: Bool
  /// nil where the text is no such value.
  let parse: @Sendable (String) -> Value?
  let text: @Sendable (Value) -> String

  init(
    expected: @escaping @autoclosure @Sendable () -> String, isQuoted: Bool = true,
    parse: @escaping @Sendable (String) -> Value?, text: @escaping @Sendable (Value) -> String
  ) {
    expectation = expected
    self.isQuoted = isQuoted
    self.parse = parse
    self.text = text
  }

  /// What to give: `a number from 1 to 65535`. Put into words where something is wrong only.
  var expected: String { expectation() }
}

extension ConfigurationField where Value: FixedWidthInteger {
  static func number(_ range: ClosedRange<Value>) -> Self {
    Self(
      expected: "a number from \(range.lowerBound) to \(range.upperBound)",
      parse: { text in Value(text).flatMap { range.contains($0) ? $0 : nil } },
      text: { String($0) })
  }
}

extension ConfigurationField {
  static func word(_ words: [(name: String, value: Value)]) -> Self where Value: Equatable {
    Self(
      expected: words.map(\.name).joined(separator: " or "),
      parse: { text in words.first { $0.name == text }?.value },
      text: { value in words.first { $0.value == value }?.name ?? "" })
  }
}

extension ConfigurationField
where Value: CaseIterable & RawRepresentable, Value.RawValue == String {
  /// One of an enumeration's words.
  static var oneOf: Self {
    Self(
      expected: Value.allCases.map(\.rawValue).joined(separator: " or "),
      parse: { Value(rawValue: $0) }, text: { $0.rawValue })
  }
}

extension ConfigurationField<Bool> {
  static let isIPv6 = word([("4", false), ("6", true)])
  static let flag = word([("true", true), ("false", false)])
}

extension ConfigurationField<String> {
  /// `IFNAMSIZ` leaves 15 octets; what the kernel's `dev_valid_name` takes.
  static let interface = Self(
    expected: "the name of an interface, as `ip link` shows it",
    parse: { text in
      let isName =
        (1...15).contains(text.utf8.count)
        && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f && $0 != 0x2f }
      return isName && text != "." && text != ".." ? text : nil
    }, text: { $0 })

  /// `sun_path` holds 107 octets and a NUL.
  static let socketPath = Self(
    expected: "an absolute path of at most 107 octets",
    parse: { text in
      text.hasPrefix("/") && text.utf8.count <= 107 && !text.utf8.contains(0) ? text : nil
    }, text: { $0 })
}

extension ConfigurationField<IPAddress> {
  static let address = Self(
    expected: "an IP address such as 192.0.2.1 or 2001:db8::1",
    parse: { text in text.utf8.contains(0) ? nil : IPAddress(text) }, text: { $0.description })
}

extension ConfigurationField<TCPEndpoint> {
  static let endpoint = Self(
    expected: "an address with a port such as 127.0.0.1:9749 or [::1]:9749",
    parse: { TCPEndpoint($0) }, text: { $0.description })
}

extension ConfigurationField<Port> {
  static let port = Self(
    expected: "a number from 0, for all ports, to 65535",
    parse: { text in UInt16(text).map { Port($0) } },
    text: { String($0.rawValue) })
}

extension ConfigurationField<ClosedRange<Port>> {
  static let ports = Self(
    expected: "a port, a range as 80-90, or 0 for all ports",
    parse: { ClosedRange<Port>(ports: $0) }, text: { $0.portText })
}

extension ConfigurationField<FirewallMark> {
  static let mark = Self(
    expected: "a number from 1 to 4294967295",
    parse: { text in
      UInt32(text).flatMap { $0 == 0 ? nil : FirewallMark(rawValue: $0) }
    }, text: { String($0.rawValue) })
}

extension ConfigurationField<IPProtocol> {
  static let ipProtocol = word([("tcp", .tcp), ("udp", .udp), ("sctp", .sctp)])
}

extension ConfigurationField<CopyMode> {
  static let copyMode = word([("automatic", .automatic), ("copy", .copy), ("zero-copy", .zeroCopy)])
}

extension ConfigurationField<QueueSelection> {
  static let queues = Self(
    expected: "all, or a number from 1 on",
    parse: { text in
      text == "all" ? .all : Int(text).flatMap { $0 > 0 ? .count($0) : nil }
    },
    text: { selection in
      switch selection {
      case .all: "all"
      case .count(let count): String(count)
      }
    })
}
