// SPDX-License-Identifier: Apache-2.0

/// The addresses that begin alike: `192.0.2.0/24`, `2001:db8::/32`.
public struct AddressPrefix: Hashable, Sendable {
  /// The first of them.
  public let address: IPAddress
  /// How many bits they have in common: 0…32, for IPv6 0…128.
  public let length: Int

  /// nil where `length` is out of range; what `address` has behind the prefix is dropped.
  public init?(_ address: IPAddress, length: Int) {
    guard (0...address.bitWidth).contains(length) else { return nil }
    self.address = address.masked(length)
    self.length = length
  }

  /// An address, alone or with a slash and a length behind it.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let address = IPAddress(first) else { return nil }
    guard parts.count == 2 else {
      self.init(address, length: address.bitWidth)
      return
    }
    guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(parts[1])
    else { return nil }
    self.init(address, length: length)
  }

  public func contains(_ other: IPAddress) -> Bool {
    other.bitWidth == address.bitWidth && other.masked(length) == address
  }
}

extension AddressPrefix: CustomStringConvertible {
  public var description: String { "\(address)/\(length)" }
}

extension IPAddress {
  fileprivate var bitWidth: Int {
    if case .v4 = self { 32 } else { 128 }
  }

  /// With zeroes behind the first `length` bits.
  fileprivate func masked(_ length: Int) -> IPAddress {
    switch self {
    case .v4(let address):
      let mask = length == 0 ? 0 : UInt32.max << UInt32(32 - length)
      return .v4(IPv4Address(rawValue: address.rawValue & mask))
    case .v6(let address):
      let mask = IPv6Address(prefixLength: length)
      return .v6(IPv6Address(high: address.high & mask.high, low: address.low & mask.low))
    }
  }
}
