// SPDX-License-Identifier: Apache-2.0

extension SnapshotSpecification.Service {
  /// Whether it takes more than one port, or ports of more than one VIP.
  var isWide: Bool { key.port == Port(0) }
}

extension SnapshotSpecification {
  /// The rows of `WideServiceTable`, in its order: what marks stand for, and between that the
  /// services of all ports, because `ip_vs_service_find` of ip_vs_ctl.c looks for a mark first.
  var widePorts: [WidePorts] {
    let marked = services.flatMap { service in
      service.marked.map { WidePorts($0.ports, service: service.index, vip: $0.vip) }
    }.sorted(by: WidePorts.isOrdered)
    let all = services.lazy.filter { $0.isWide && $0.key.mark == nil }.flatMap { service in
      WidePorts(VirtualPorts(of: service.key), service: service.index, vip: 0)
        .without(marked)
    }
    return (marked + all).sorted(by: WidePorts.isOrdered)
  }
}

extension WidePorts {
  /// The order of `WideServiceTable`.
  static func isOrdered(_ left: WidePorts, _ right: WidePorts) -> Bool {
    (left.high, left.low, left.ipProtocol, left.first)
      < (right.high, right.low, right.ipProtocol, right.first)
  }

  /// What is left of it where `taken`, in order, take their ports.
  fileprivate func without(_ taken: [WidePorts]) -> [WidePorts] {
    var (rest, left): (WidePorts?, [WidePorts]) = (self, [])
    for other in taken
    where other.high == high && other.low == low && other.ipProtocol == ipProtocol {
      guard var part = rest else { break }
      if other.first > part.first {
        var gap = part
        gap.last = other.first - 1
        left.append(gap)
      }
      if other.last == .max {
        rest = nil
      } else {
        part.first = other.last + 1
        rest = part
      }
    }
    return left + [rest].compactMap { $0 }
  }
}
