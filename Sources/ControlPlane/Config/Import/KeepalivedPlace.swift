// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What a `virtual_server`, or a line of its group, stands for (keepalived.conf(5)).
enum KeepalivedPlace: Equatable {
  case address(IPAddress, Port)
  /// nil where the real servers say the family.
  case mark(FirewallMark, isIPv6: Bool?)

  /// `192.0.2.1 80`, `fwmark 1`, `fwmark 1 inet6`; nil for other words.
  init?(_ words: [String]) {
    if words.first == "fwmark" {
      guard (2...3).contains(words.count), let number = UInt32(words[1]), number > 0 else {
        return nil
      }
      switch words.dropFirst(2).first {
      case nil: self = .mark(FirewallMark(rawValue: number), isIPv6: nil)
      case "inet": self = .mark(FirewallMark(rawValue: number), isIPv6: false)
      case "inet6": self = .mark(FirewallMark(rawValue: number), isIPv6: true)
      default: return nil
      }
      return
    }
    guard words.count == 2, let address = IPAddress(words[0]), let port = UInt16(words[1]) else {
      return nil
    }
    self = .address(address, Port(port))
  }

  /// `192.0.2.9-11 80`, a range of last numbers; nil for other words.
  static func range(_ words: [String]) -> [KeepalivedPlace]? {
    let ends = words[0].split(separator: "-", omittingEmptySubsequences: false)
    guard words.count == 2, ends.count == 2, case .v4(let first)? = IPAddress(String(ends[0])),
      let last = UInt8(ends[1]), let port = UInt16(words[1]), port != 0,
      UInt32(last) >= first.rawValue & 0xff
    else { return nil }
    return (first.rawValue & 0xff...UInt32(last)).map {
      .address(.v4(IPv4Address(rawValue: first.rawValue & ~0xff | $0)), Port(port))
    }
  }
}
