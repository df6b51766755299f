// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Logging

extension Director {
  /// What each mark stands for, in the order of addition.
  public var marks: [FirewallMark: [VirtualPorts]] {
    markGroups.mapValues(\.ports).filter { !$0.value.isEmpty }
  }

  /// Makes ports a part of what a mark stands for; its services take them at once.
  ///
  /// - Parameter level: of the line in the log.
  public func addToMark(
    _ mark: FirewallMark, _ ports: VirtualPorts, _ level: Logger.Level = .info
  ) throws(DirectorError) {
    try ports.validate(for: mark)
    for (other, group) in markGroups {
      if let taken = group.ports.first(where: ports.overlaps) {
        throw .portsOverlap(ports, taken, other)
      }
    }
    guard markGroups[mark, default: MarkGroup()].add(ports) else { throw .tooManyVIPs(mark) }
    noteEdit(of: .marks)
    logger.log(
      level: level, "mark stands for more",
      metadata: ["mark": "\(mark.rawValue)", "ports": "\(ports)"])
  }

  /// Takes ports out of what a mark stands for.
  public func removeFromMark(_ mark: FirewallMark, _ ports: VirtualPorts) throws(DirectorError) {
    guard let place = markGroups[mark]?.ports.firstIndex(of: ports) else {
      throw .noSuchPorts(ports, mark)
    }
    markGroups[mark]!.ports.remove(at: place)
    noteEdit(of: .marks)
    logger.info(
      "mark stands for less", metadata: ["mark": "\(mark.rawValue)", "ports": "\(ports)"])
  }

  /// What a service takes.
  func ports(of key: VirtualServiceKey) -> [VirtualPorts] {
    guard let mark = key.mark else { return [VirtualPorts(of: key)] }
    return markGroups[mark]?.marked(for: key).map(\.ports) ?? []
  }

  /// Makes the marks stand for this and nothing else, or throws and leaves some as they were.
  func setMarks(
    _ wanted: [FirewallMark: [VirtualPorts]], _ level: Logger.Level
  ) throws(DirectorError) {
    for (mark, ports) in marks {
      for gone in ports where !(wanted[mark] ?? []).contains(gone) {
        try removeFromMark(mark, gone)
      }
    }
    for (mark, ports) in wanted.sorted(by: { $0.key < $1.key }) {
      for new in ports where !(marks[mark] ?? []).contains(new) {
        try addToMark(mark, new, level)
      }
    }
  }
}

extension VirtualPorts {
  /// Throws what would be wrong with it in any mark.
  func validate(for mark: FirewallMark) throws(DirectorError) {
    guard mark.rawValue != 0 else { throw .markZero }
    guard ipProtocol == .tcp || ipProtocol == .udp else {
      throw .unsupportedProtocol(
        VirtualServiceKey(address: address, ipProtocol: ipProtocol, port: ports.lowerBound))
    }
    guard address.isUnicast else { throw .notUnicast(address) }
  }
}
