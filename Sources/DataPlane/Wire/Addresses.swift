// SPDX-License-Identifier: Apache-2.0

/// An IPv4 address in host order: 192.0.2.1 is 0xc0000201.
public struct IPv4Address: RawRepresentable, Hashable, Comparable, Sendable, BitwiseCopyable {
  public var rawValue: UInt32
  @inline(__always) public init(rawValue: UInt32) { self.rawValue = rawValue }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// An IPv6 address in host order: the first eight octets in `high`, the last eight in `low`.
public struct IPv6Address: Hashable, Comparable, Sendable, BitwiseCopyable {
  public var high: UInt64
  public var low: UInt64
  @inline(__always) public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }
  public static func < (left: Self, right: Self) -> Bool {
    (left.high, left.low) < (right.high, right.low)
  }
}

extension IPv6Address {
  /// How many ones it begins with; nil where there are more behind a zero.
  public var prefixLength: Int? {
    let ones = high == .max ? 64 + (~low).leadingZeroBitCount : (~high).leadingZeroBitCount
    return ones == high.nonzeroBitCount + low.nonzeroBitCount ? ones : nil
  }

  /// A mask of so many ones, 0…128.
  public init(prefixLength: Int) {
    self.init(
      high: prefixLength >= 64 ? .max : ~(UInt64.max >> UInt64(max(0, prefixLength))),
      low: prefixLength <= 64 ? 0 : ~(UInt64.max >> UInt64(prefixLength - 64)))
  }
}

/// An address of either family.
public enum IPAddress: Hashable, Comparable, Sendable, BitwiseCopyable {
  case v4(IPv4Address)
  case v6(IPv6Address)
}

/// What clients address: (VIP, protocol, port), or whatever a firewall mark stands for in one IP
/// version. The identity of a virtual service.
public struct VirtualServiceKey: Hashable, Sendable, BitwiseCopyable {
  /// The VIP; of a mark's service the unspecified address of its IP version.
  public var address: IPAddress
  /// Of a mark's service 0, as the kernel lists it: it may take packets of several.
  public var ipProtocol: IPProtocol
  /// 0 stands for all ports.
  public var port: Port
  /// nil where the service is known by its address.
  public private(set) var mark: FirewallMark?

  public init(address: IPAddress, ipProtocol: IPProtocol, port: Port) {
    self.address = address
    self.ipProtocol = ipProtocol
    self.port = port
  }

  /// The service of a mark.
  public init(mark: FirewallMark, isIPv6: Bool) {
    self.init(
      address: isIPv6 ? .v6(IPv6Address(high: 0, low: 0)) : .v4(IPv4Address(rawValue: 0)),
      ipProtocol: IPProtocol(rawValue: 0), port: Port(0))
    self.mark = mark
  }
}

/// The number of a group of VIPs and ports that one service takes, 1 to 2³²-1: `ipvsadm -f`. No
/// netfilter has marked a packet where XDP sees it, so the director is told what is in the group.
public struct FirewallMark: RawRepresentable, Hashable, Comparable, Sendable, BitwiseCopyable {
  public var rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Ports of a VIP and protocol: what packets are steered and found by.
public struct VirtualPorts: Hashable, Sendable {
  public var address: IPAddress
  public var ipProtocol: IPProtocol
  public var ports: ClosedRange<Port>

  public static let allPorts = Port(0)...Port(.max)

  public init(address: IPAddress, ipProtocol: IPProtocol, ports: ClosedRange<Port>) {
    self.address = address
    self.ipProtocol = ipProtocol
    self.ports = ports
  }

  /// Those that a service takes which is known by its address.
  public init(of service: VirtualServiceKey) {
    self.init(
      address: service.address, ipProtocol: service.ipProtocol,
      ports: service.port == Port(0) ? Self.allPorts : service.port...service.port)
  }

  /// Whether it is one port and no more.
  var isOne: Bool { ports.lowerBound == ports.upperBound }

  /// Whether a packet can be to both.
  public func overlaps(_ other: VirtualPorts) -> Bool {
    address == other.address && ipProtocol == other.ipProtocol && ports.overlaps(other.ports)
  }
}
