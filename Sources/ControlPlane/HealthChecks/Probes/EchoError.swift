// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// An ICMP error that may be about a ping: RFC 792, RFC 4443 §3. Anyone can have sent it.
struct EchoError {
  /// What it says, in a few words.
  var words: String
  /// Of the packet that it quotes.
  var destination: IPAddress
  /// What it quotes behind that packet's header.
  var quoted: UnsafeRawBufferPointer

  /// - Parameter message: ICMP; valid as long as this is used.
  /// - Returns: nil where it is anything else, or quotes too little.
  init?(_ message: UnsafeRawBufferPointer, isIPv6: Bool) {
    let quotedHeader = 8
    let header = quotedHeader + (isIPv6 ? 40 : 20)
    guard message.count >= header + 8,
      let words = isIPv6 ? Self.ipv6(message[0], message[1]) : Self.ipv4(message[0], message[1]),
      message[quotedHeader] == 0x45 || isIPv6
    else { return nil }
    self.words = words
    destination = message.address(at: quotedHeader + (isIPv6 ? 24 : 16), isVersion6: isIPv6)
    quoted = UnsafeRawBufferPointer(rebasing: message[header...])
  }

  private static func ipv4(_ type: UInt8, _ code: UInt8) -> String? {
    switch (type, code) {
    case (3, 0): "network unreachable"
    case (3, 1): "host unreachable"
    case (3, 2): "protocol unreachable"
    case (3, 9), (3, 10), (3, 13): "prohibited"
    case (3, _): "unreachable, code \(code)"
    case (11, _): "time to live exceeded"
    case (12, _): "parameter problem"
    default: nil
    }
  }

  private static func ipv6(_ type: UInt8, _ code: UInt8) -> String? {
    switch (type, code) {
    case (1, 0): "no route"
    case (1, 1): "prohibited"
    case (1, 3): "address unreachable"
    case (1, _): "unreachable, code \(code)"
    case (3, _): "hop limit exceeded"
    case (4, _): "parameter problem"
    default: nil
    }
  }
}

extension UnsafeRawBufferPointer {
  /// Of the wire; the caller has compared the count.
  func address(at offset: Int, isVersion6: Bool) -> IPAddress {
    guard isVersion6 else { return .v4(IPv4Address(rawValue: long(offset))) }
    func half(_ offset: Int) -> UInt64 { UInt64(long(offset)) << 32 | UInt64(long(offset + 4)) }
    return .v6(IPv6Address(high: half(offset), low: half(offset + 8)))
  }
}
