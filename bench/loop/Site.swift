// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What the subjects direct: TCP services of one family on port 80, each with real servers of its
/// own.
struct Site {
  static let firstVIP: UInt32 = 0xc0a8_0101
  static let ipv6Clients: UInt64 = 0x2001_0db8_0000_0001
  static let ipv6VIPs: UInt64 = 0x2001_0db8_0000_0002
  static let port: UInt16 = 80
  static let director = MACAddress(rawValue: 0x0200_0000_00d1)

  let services: Int
  /// Of each service.
  let realServers: Int
  let isIPv6: Bool
  private let scheduler: Scheduler
  private let persistence: Persistence?

  init(_ workload: Workload) {
    services = workload.services
    realServers = workload.realServers
    isIPv6 = workload.family == .ipv6
    scheduler = workload.scheduler
    // Over in the minute that half-open connections last.
    persistence = workload.isPersistent ? Persistence(timeoutSeconds: 60) : nil
  }

  func realServerMAC(_ index: Int) -> MACAddress {
    MACAddress(rawValue: 0x0200_0001_0000 | UInt64(index))
  }

  func vip(_ service: Int) -> IPAddress {
    isIPv6
      ? .v6(IPv6Address(high: Self.ipv6VIPs, low: UInt64(service + 1)))
      : .v4(IPv4Address(rawValue: Self.firstVIP + UInt32(service)))
  }

  /// One that answers nothing: the twin gives none.
  var specification: SnapshotSpecification {
    var policy = ServicePolicy(for: .tcp)
    policy.stray = .drop
    let services = (0..<services).map { service in
      SnapshotSpecification.Service(
        index: ServiceIndex(rawValue: UInt16(service + 1)),
        key: VirtualServiceKey(
          address: vip(service), ipProtocol: .tcp, port: Port(Self.port)),
        scheduler: scheduler, persistence: persistence, policy: policy, revision: 1,
        realServers: (0..<realServers).map {
          let index = service * realServers + $0
          return SnapshotSpecification.RealServer(
            index: RealServerIndex(rawValue: UInt16(index + 1)), weight: 1,
            macAddress: realServerMAC(index), isResolved: true)
        })
    }
    return SnapshotSpecification(services: services, egressMACAddresses: [Self.director])
  }
}
