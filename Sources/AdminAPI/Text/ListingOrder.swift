// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension VirtualServiceKey {
  /// By mark, IP version, protocol, address and port: `ipvs_cmp_services` of libipvs.c.
  func isListed(before other: Self) -> Bool {
    let (mark, otherMark) = (mark?.rawValue ?? 0, other.mark?.rawValue ?? 0)
    if mark != otherMark { return Int32(bitPattern: mark &- otherMark) < 0 }
    if address.isIPv6 != other.address.isIPv6 { return other.address.isIPv6 }
    if ipProtocol != other.ipProtocol { return ipProtocol.rawValue < other.ipProtocol.rawValue }
    let difference = address.difference(other.address)
    return difference == 0 ? port < other.port : difference < 0
  }
}

extension RealServerAddress {
  /// By address and port: `ipvs_cmp_dests` of libipvs.c.
  func isListed(before other: Self) -> Bool {
    let difference = address.difference(other.address)
    return difference == 0 ? port < other.port : difference < 0
  }
}

extension IPAddress {
  fileprivate var isIPv6: Bool {
    if case .v6 = self { true } else { false }
  }

  /// ipvsadm subtracts 32 bits of addresses and takes the rest for a signed number, so that
  /// 192.0.2.1 comes before 10.0.0.1. The first words that differ decide; 0 where none does.
  fileprivate func difference(_ other: IPAddress) -> Int32 {
    switch (self, other) {
    case (.v4(let left), .v4(let right)):
      return Int32(bitPattern: left.rawValue &- right.rawValue)
    case (.v6(let left), .v6(let right)):
      let (leftHalf, rightHalf) =
        left.high == right.high ? (left.low, right.low) : (left.high, right.high)
      let shift = UInt64(leftHalf >> 32 == rightHalf >> 32 ? 0 : 32)
      return Int32(truncatingIfNeeded: (leftHalf >> shift) &- (rightHalf >> shift))
    default:
      return 0
    }
  }
}
