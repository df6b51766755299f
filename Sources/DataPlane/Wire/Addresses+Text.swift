// SPDX-License-Identifier: Apache-2.0
import Glibc

extension IPv4Address: CustomStringConvertible {
  /// Dotted quad, as inet_pton(3) reads it: four decimal octets and nothing else.
  public init?(_ text: some StringProtocol) {
    var address = in_addr()
    guard inet_pton(AF_INET, String(text), &address) == 1 else { return nil }
    self.init(rawValue: UInt32(bigEndian: address.s_addr))
  }

  public var description: String {
    (0..<4).map { String(rawValue >> (24 - 8 * UInt32($0)) & 0xff) }.joined(separator: ".")
  }
}

extension IPv6Address: CustomStringConvertible {
  /// The text forms of RFC 4291 §2.2, without brackets or zone.
  public init?(_ text: some StringProtocol) {
    var octets: (UInt64, UInt64) = (0, 0)
    guard inet_pton(AF_INET6, String(text), &octets) == 1 else { return nil }
    self.init(high: UInt64(bigEndian: octets.0), low: UInt64(bigEndian: octets.1))
  }

  /// The canonical form of inet_ntop(3).
  public var description: String {
    var octets = (high.bigEndian, low.bigEndian)
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) {
      inet_ntop(AF_INET6, &octets, $0.baseAddress!, socklen_t(INET6_ADDRSTRLEN))
      return String(cString: $0.baseAddress!)
    }
  }
}

extension IPAddress: CustomStringConvertible {
  /// Either family's text, without brackets; nil for anything else.
  public init?(_ text: some StringProtocol) {
    if let address = IPv4Address(text) {
      self = .v4(address)
    } else if let address = IPv6Address(text) {
      self = .v6(address)
    } else {
      return nil
    }
  }

  public var description: String {
    switch self {
    case .v4(let address): address.description
    case .v6(let address): address.description
    }
  }
}

extension MACAddress: CustomStringConvertible {
  /// Six two-digit hexadecimal octets joined by colons.
  public init?(_ text: some StringProtocol) {
    let octets = text.split(separator: ":", omittingEmptySubsequences: false).map {
      $0.utf8.count == 2 ? UInt8($0, radix: 16) : nil
    }
    guard octets.count == 6, !octets.contains(nil) else { return nil }
    self.init(octets: octets.compactMap { $0 })
  }

  public var description: String {
    octets.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
  }
}

extension ClosedRange<Port> {
  /// `80`, `80-90`, or `0` for all ports.
  public init?(ports text: some StringProtocol) {
    let words = text.split(separator: "-", omittingEmptySubsequences: false)
    let numbers = words.compactMap { word in
      word.utf8.allSatisfy { (0x30...0x39).contains($0) } ? UInt16(word) : nil
    }
    guard numbers.count == words.count, let first = numbers.first, let last = numbers.last,
      numbers.count <= 2, first <= last
    else { return nil }
    if first == 0 {
      guard numbers.count == 1 else { return nil }
      self = VirtualPorts.allPorts
    } else {
      self = Port(first)...Port(last)
    }
  }

  /// As `init(ports:)` reads it.
  public var portText: String {
    if self == VirtualPorts.allPorts { return "0" }
    let (first, last) = (lowerBound.rawValue, upperBound.rawValue)
    return first == last ? "\(first)" : "\(first)-\(last)"
  }
}
