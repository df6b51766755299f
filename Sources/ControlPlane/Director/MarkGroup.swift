// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What a firewall mark stands for: VIPs and ports of both IP versions, of which the mark's
/// services take one each.
struct MarkGroup {
  /// In the order of addition; no two overlap.
  var ports: [VirtualPorts] = []
  /// Numbers of (VIP, protocol), given out once: connections name them.
  private var numbers: [Target: UInt16] = [:]

  private struct Target: Hashable {
    var address: IPAddress
    var ipProtocol: IPProtocol

    init(_ ports: VirtualPorts) {
      (address, ipProtocol) = (ports.address, ports.ipProtocol)
    }
  }

  /// Adds ports; false where all numbers are given out.
  mutating func add(_ added: VirtualPorts) -> Bool {
    let target = Target(added)
    if numbers[target] == nil {
      guard let number = UInt16(exactly: numbers.count) else { return false }
      numbers[target] = number
    }
    ports.append(added)
    return true
  }

  /// What the mark's service of one IP version takes.
  func marked(for key: VirtualServiceKey) -> [SnapshotSpecification.MarkedPorts] {
    ports.filter { $0.address.isSameVersion(as: key.address) }.map {
      SnapshotSpecification.MarkedPorts(ports: $0, vip: numbers[Target($0)] ?? 0)
    }
  }

  /// The VIP and protocol of a number; nil where it was never given out.
  func target(of number: UInt16) -> (address: IPAddress, ipProtocol: IPProtocol)? {
    numbers.first { $0.value == number }.map { ($0.key.address, $0.key.ipProtocol) }
  }
}
