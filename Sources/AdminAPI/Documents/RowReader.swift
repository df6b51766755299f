// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Fields one after the other; a missing one is empty.
struct RowReader {
  let octets: [UInt8]
  private var position = 0

  init(octets: [UInt8]) { self.octets = octets }

  var isAtEnd: Bool { position == octets.count }

  private mutating func field() -> ArraySlice<UInt8> {
    let start = position
    while position < octets.count, !Self.isEnd(octets[position]) { position += 1 }
    let field = octets[start..<position]
    if position < octets.count { position += 1 }
    return field
  }

  private static func isEnd(_ octet: UInt8) -> Bool {
    octet == UInt8(ascii: ",") || octet == UInt8(ascii: "\n")
  }

  mutating func text() -> String { String(decoding: field(), as: UTF8.self) }

  /// What `read` makes of a field, or nil in one that is empty; none where it makes nothing of it.
  mutating func ifPresent<Value>(_ read: (inout RowReader) -> Value?) -> Value?? {
    guard position < octets.count, !Self.isEnd(octets[position]) else {
      _ = field()
      return .some(nil)
    }
    return read(&self).map { .some($0) }
  }

  /// One of an enumeration's words; nil where it is none. So are the others below.
  mutating func word<Value: RawRepresentable<String>>() -> Value? { Value(rawValue: text()) }

  mutating func flag() -> Bool? {
    switch text() {
    case "0": false
    case "1": true
    default: nil
    }
  }

  mutating func number<Number: FixedWidthInteger>() -> Number? { Self.number(field()) }

  mutating func port() -> Port? { number().map { Port($0) } }

  /// As `VirtualServiceKey.path`.
  mutating func service() -> VirtualServiceKey? {
    let field = field()
    let words = field.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    if words.count == 3, let address = Self.address(words[1]), let port = Self.port(words[2]),
      let ipProtocol = IPProtocol(serviceProtocol: String(decoding: words[0], as: UTF8.self))
    {
      return VirtualServiceKey(address: address, ipProtocol: ipProtocol, port: port)
    }
    return VirtualServiceKey(path: words.map { String(decoding: $0, as: UTF8.self) })
  }

  mutating func address() -> IPAddress? { Self.address(field()) }

  private static func port(_ field: ArraySlice<UInt8>) -> Port? { number(field).map { Port($0) } }

  private static func address(_ field: ArraySlice<UInt8>) -> IPAddress? {
    guard !field.contains(UInt8(ascii: ":")) else {
      return IPAddress(String(decoding: field, as: UTF8.self))
    }
    var address: UInt32 = 0
    var octets = 0
    for part in field.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
      guard let octet: UInt8 = number(part) else { return nil }
      address = address << 8 | UInt32(octet)
      octets += 1
    }
    return octets == 4 ? .v4(IPv4Address(rawValue: address)) : nil
  }

  private static func number<Number: FixedWidthInteger>(_ digits: ArraySlice<UInt8>) -> Number? {
    guard !digits.isEmpty else { return nil }
    var number: UInt64 = 0
    for digit in digits {
      let (tenfold, isTooLarge) = number.multipliedReportingOverflow(by: 10)
      guard (0x30...0x39).contains(digit), !isTooLarge else { return nil }
      let (sum, overflows) = tenfold.addingReportingOverflow(UInt64(digit - 0x30))
      guard !overflows else { return nil }
      number = sum
    }
    return Number(exactly: number)
  }
}
