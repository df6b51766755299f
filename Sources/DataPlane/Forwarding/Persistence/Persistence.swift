// SPDX-License-Identifier: Apache-2.0

/// `ipvsadm -p` and `-M`: a client keeps its real server from one connection to the next.
public struct Persistence: Hashable, Sendable {
  /// How long after a client's last new connection its real server is remembered.
  public var timeoutSeconds: UInt32
  /// Clients whose addresses are alike under it are one; of the service's IP version. nil: every
  /// address is a client by itself.
  public var mask: IPAddress?

  /// `IPVS_SVC_PERSISTENT_TIMEOUT` of ip_vs.h: `-p` without a number.
  public static let defaultTimeoutSeconds: UInt32 = 360

  /// `MAX_TIMEOUT` of ipvsadm, 31 days. What lies above the half range of a tick lasts that long:
  /// 24 days.
  public static let largestTimeoutSeconds: UInt32 = 86_400 * 31

  /// A mask of all ones is none.
  public init(timeoutSeconds: UInt32, mask: IPAddress? = nil) {
    self.timeoutSeconds = timeoutSeconds
    self.mask = mask == .wholeIPv4 || mask == .wholeIPv6 ? nil : mask
  }

  /// As a template's address is kept: `Client.high`, `Client.low`.
  var maskWords: (high: UInt64, low: UInt64) {
    switch mask {
    case .v4(let mask): (.max, ~UInt64(UInt32.max) | UInt64(mask.rawValue))
    case .v6(let mask): (mask.high, mask.low)
    case nil: (.max, .max)
    }
  }
}

extension IPAddress {
  fileprivate static let wholeIPv4 = IPAddress.v4(IPv4Address(rawValue: .max))
  fileprivate static let wholeIPv6 = IPAddress.v6(IPv6Address(high: .max, low: .max))
}
