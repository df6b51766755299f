// SPDX-License-Identifier: Apache-2.0

/// A TCP, UDP or SCTP port in host order.
public struct Port: RawRepresentable, Hashable, Comparable, Sendable, BitwiseCopyable {
  public var rawValue: UInt16
  @inline(__always) public init(rawValue: UInt16) { self.rawValue = rawValue }
  @inline(__always) public init(_ rawValue: UInt16) { self.rawValue = rawValue }
  public static func < (left: Port, right: Port) -> Bool { left.rawValue < right.rawValue }
}

/// The protocol field of IPv4 and the last next-header field of IPv6 (IANA protocol numbers).
public struct IPProtocol: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt8
  @inline(__always) public init(rawValue: UInt8) { self.rawValue = rawValue }
  public static let icmp = IPProtocol(rawValue: 1)
  public static let tcp = IPProtocol(rawValue: 6)
  public static let udp = IPProtocol(rawValue: 17)
  public static let icmpv6 = IPProtocol(rawValue: 58)
  public static let sctp = IPProtocol(rawValue: 132)

  /// Whether virtual services can have it.
  public var hasServices: Bool { self == .tcp || self == .udp || self == .sctp }
}

/// The type field of an Ethernet header or VLAN tag in host order (IEEE 802.3, 802.1Q, 802.1ad).
public struct EtherType: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt16
  @inline(__always) public init(rawValue: UInt16) { self.rawValue = rawValue }
  public static let ipv4 = EtherType(rawValue: 0x0800)
  public static let arp = EtherType(rawValue: 0x0806)
  public static let ipv6 = EtherType(rawValue: 0x86dd)
  /// 802.1Q customer tag.
  public static let vlan = EtherType(rawValue: 0x8100)
  /// 802.1ad service tag.
  public static let serviceVLAN = EtherType(rawValue: 0x88a8)
}

/// A 48-bit Ethernet address; `rawValue` holds it in the low 48 bits, first octet highest.
public struct MACAddress: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue & 0xffff_ffff_ffff }

  /// The six octets in wire order.
  public var octets: [UInt8] {
    (0..<6).map { UInt8(truncatingIfNeeded: rawValue >> (40 - 8 * $0)) }
  }

  /// Six octets in wire order; nil for any other count.
  public init?(octets: some Collection<UInt8>) {
    guard octets.count == 6 else { return nil }
    rawValue = octets.reduce(0) { $0 << 8 | UInt64($1) }
  }
}
