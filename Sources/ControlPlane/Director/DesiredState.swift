// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// A service as the director keeps it.
struct Service {
  var configuration: ServiceConfiguration
  var health = ServiceHealth()
  /// What the checks make of its real servers; none where nothing is checked.
  var standing = ServiceStanding()
  /// Order of addition, of services among each other.
  let sequence: UInt64
  let index: ServiceIndex
  /// Of what its schedulers go by.
  var revision: UInt32
  /// The number of the latest edit of it or its real servers.
  var edit: UInt64 = 0
  var realServers: [IPAddress: RealServer] = [:]
  /// Removed real servers whose numbers are not free yet: what they forwarded still counts.
  var departed: [RealServerIndex: RealServer] = [:]
  /// What departed real servers forwarded whose numbers are free.
  var carried = Statistics()
  var tally = Tally()
}

/// A real server of a service as the director keeps it.
struct RealServer {
  var configuration: RealServerConfiguration
  /// The last one above zero since it was added, as `dest->last_weight` of ip_vs_ctl.c.
  var lastWeight: UInt32
  /// Order of addition, of real servers among each other.
  var sequence: UInt64
  var neighbor: Neighbor
  /// nil where it is not being emptied.
  var drain: Drain?
  let index: RealServerIndex
  /// Whether it only takes the place of others.
  var isSorryServer = false
  /// The workers' counters when this real server got its number.
  let origin: Statistics
  var tally = Tally()
  /// The number of its latest edit.
  var edit: UInt64 = 0
}

/// Which real server of which service: the holder of a `RealServerIndex`.
struct RealServerKey: Hashable {
  var service: VirtualServiceKey
  var address: IPAddress
}

/// The operator's view of totals that never go back.
struct Tally {
  /// The totals at the last `-Z`.
  var zero = Statistics()
  var estimator = RateEstimator()

  mutating func zero(at total: Statistics) {
    zero = total
    estimator.zero()
  }
}

extension Statistics {
  static func + (left: Self, right: Self) -> Self {
    Statistics(
      connections: left.connections &+ right.connections,
      inPackets: left.inPackets &+ right.inPackets, inBytes: left.inBytes &+ right.inBytes)
  }

  static func - (left: Self, right: Self) -> Self {
    Statistics(
      connections: left.connections &- right.connections,
      inPackets: left.inPackets &- right.inPackets, inBytes: left.inBytes &- right.inBytes)
  }
}

extension IPAddress {
  /// Whether a host can own it: not unspecified, multicast, reserved (RFC 1112 §4), broadcast or
  /// an IPv4 address in IPv6's form (RFC 4291 §2.5.5.2), which is on no wire.
  var isUnicast: Bool {
    switch self {
    case .v4(let address): address.rawValue >> 24 != 0 && address.rawValue < 0xe000_0000
    case .v6(let address):
      address.high >> 56 != 0xff && (address.high, address.low) != (0, 0)
        && !(address.high == 0 && address.low >> 32 == 0xffff)
    }
  }

  /// Of 127.0.0.0/8, or ::1.
  var isLoopback: Bool {
    switch self {
    case .v4(let address): address.rawValue >> 24 == 127
    case .v6(let address): (address.high, address.low) == (0, 1)
    }
  }

  func isSameVersion(as other: IPAddress) -> Bool {
    switch (self, other) {
    case (.v4, .v4), (.v6, .v6): true
    default: false
    }
  }
}
