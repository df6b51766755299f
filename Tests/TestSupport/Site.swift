// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension MACAddress {
  public static let director = MACAddress("02:00:00:00:00:d1")!

  public static func realServer(_ number: UInt8) -> MACAddress {
    MACAddress(rawValue: 0x0200_0000_0000 | UInt64(number))
  }
}

extension VirtualServiceKey {
  public static let web = VirtualServiceKey(
    address: IPAddress("192.168.1.149")!, ipProtocol: .tcp, port: Port(80))
  public static let webIPv6 = VirtualServiceKey(
    address: IPAddress("2001:db8::149")!, ipProtocol: .tcp, port: Port(80))
  public static let dns = VirtualServiceKey(
    address: IPAddress("192.168.1.149")!, ipProtocol: .udp, port: Port(53))
  /// M3UA's port, RFC 4666.
  public static let signalling = VirtualServiceKey(
    address: IPAddress("192.168.1.149")!, ipProtocol: .sctp, port: Port(2905))
  public static let signallingIPv6 = VirtualServiceKey(
    address: IPAddress("2001:db8::149")!, ipProtocol: .sctp, port: Port(2905))

  /// The service of all ports beside this one.
  public var onAllPorts: VirtualServiceKey {
    VirtualServiceKey(address: address, ipProtocol: ipProtocol, port: Port(0))
  }
}

extension VirtualPorts {
  public static let web = VirtualPorts(of: .web)
  public static let webIPv6 = VirtualPorts(of: .webIPv6)
  public static let dns = VirtualPorts(of: .dns)
  public static let signalling = VirtualPorts(of: .signalling)
  public static let signallingIPv6 = VirtualPorts(of: .signallingIPv6)
}

extension SnapshotSpecification.RealServer {
  /// Real server `number`, whose MAC address ends in its number.
  public static func number(
    _ number: UInt8, weight: UInt32 = 1, isResolved: Bool = true
  ) -> Self {
    Self(
      index: RealServerIndex(rawValue: UInt16(number)), weight: weight,
      macAddress: .realServer(number), isResolved: isResolved)
  }
}

extension SnapshotSpecification {
  /// A textbook director: web over IPv4 (real servers 1, 2), web over IPv6 (3, 4), DNS (5, 6),
  /// each list in LVS order, the higher number first.
  ///
  /// - Parameter policy: changes each service's.
  public static func site(
    scheduler: Scheduler = .rr, policy: (inout ServicePolicy) -> Void = { _ in }
  ) -> SnapshotSpecification {
    func service(
      _ index: UInt16, _ key: VirtualServiceKey, _ realServers: [RealServer]
    ) -> Service {
      var changed = ServicePolicy(for: key.ipProtocol)
      policy(&changed)
      return Service(
        index: ServiceIndex(rawValue: index), key: key, scheduler: scheduler, policy: changed,
        revision: 1, realServers: realServers)
    }
    return SnapshotSpecification(
      services: [
        service(1, .web, [.number(2), .number(1)]),
        service(2, .webIPv6, [.number(4), .number(3)]),
        service(3, .dns, [.number(6), .number(5)]),
      ],
      egressMACAddresses: [.director])
  }
}
