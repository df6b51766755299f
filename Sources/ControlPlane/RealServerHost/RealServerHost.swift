// SPDX-License-Identifier: Apache-2.0
import CNetlink
import DataPlane
import Glibc

/// A real server's own side of direct routing: it owns the VIPs and never says so on the LAN.
///
/// A VIP is a host address of the loopback interface. IPv4 would still answer ARP for it and use it
/// as the sender of ARP requests; four sysctls forbid both (ip-sysctl.rst: arp_ignore 1 answers on
/// the interface that has the address only, arp_announce 2 asks with the best local address). IPv6
/// answers neighbour solicitations for addresses of the receiving interface only (`ndisc_recv_ns`
/// in net/ipv6/ndisc.c), and a deprecated address is no source of new connections.
///
/// Works on the network namespace of the calling thread, needs root.
public struct RealServerHost {
  public struct Failure: Error, CustomStringConvertible {
    public let description: String
  }

  /// One thing that is as it must be, or is not and can be mended.
  public struct Finding: Hashable, Sendable {
    public var statement: String
    /// What to do; nil where all is well.
    public var mend: String?
    public var isRight: Bool { mend == nil }
  }

  private let socket: NetlinkSocket
  private let loopback: Int32
  private let memory: HostMemory

  /// - Parameter directory: where it is remembered what `down` has to undo.
  public init(directory: String = "/run/martinet/realserver") throws(Failure) {
    do { socket = try NetlinkSocket() } catch { throw Failure(description: "\(error)") }
    loopback = Int32(if_nametoindex("lo"))
    guard loopback != 0 else {
      throw Failure(description: "there is no loopback interface lo: create it first")
    }
    memory = HostMemory(directory: directory)
  }

  // MARK: up and down

  /// Makes this host a real server for `vips` and says what it changed; nothing if all was so.
  public func up(_ vips: [IPAddress]) throws(Failure) -> [String] {
    try Self.validate(vips)
    let present = try addresses()
    for vip in vips { try refuse(vip, amongst: present) }
    return try memory.update { record throws(Failure) in
      var changes: [String] = []
      if vips.contains(where: \.isIPv4) {
        for sysctl in Sysctl.realServer { changes += try sysctl.require(&record) }
      }
      changes += try linkUp()
      for vip in vips { changes += try add(vip, present, &record) }
      return changes
    }
  }

  /// Undoes `up` for `vips`; the sysctls go back when no IPv4 VIP of ours remains.
  public func down(_ vips: [IPAddress]) throws(Failure) -> [String] {
    try Self.validate(vips)
    let present = try addresses()
    return try memory.update { record throws(Failure) in
      var changes: [String] = []
      for vip in vips {
        guard let isOurs = record.vips.removeValue(forKey: "\(vip)"), isOurs,
          present.contains(where: { isOnLoopback($0, vip) })
        else { continue }
        try perform { () throws(NetlinkError) in
          try socket.removeHostAddress(vip, interfaceIndex: loopback)
        }
        changes.append("removed \(vip)/\(vip.bitWidth) from lo")
      }
      if !record.vips.keys.contains(where: { IPAddress($0)?.isIPv4 ?? false }) {
        for sysctl in Sysctl.realServer { changes += try sysctl.restore(&record) }
      }
      return changes
    }
  }

  private func add(
    _ vip: IPAddress, _ present: [InterfaceAddress], _ record: inout HostRecord
  ) throws(Failure) -> [String] {
    var isThere = present.contains { isOnLoopback($0, vip) }
    if isThere, try !isDeliveredLocally(vip) {
      // Someone deleted the local route that came with the address: it comes back with it.
      try perform { () throws(NetlinkError) in
        try socket.removeHostAddress(vip, interfaceIndex: loopback)
      }
      isThere = false
    }
    record.vips["\(vip)"] = record.vips["\(vip)"] ?? !isThere
    guard !isThere else { return [] }
    try perform { () throws(NetlinkError) in
      try socket.addHostAddress(vip, interfaceIndex: loopback)
    }
    return ["added \(vip)/\(vip.bitWidth) to lo"]
  }

  private func linkUp() throws(Failure) -> [String] {
    guard try !isLoopbackUp() else { return [] }
    try perform { () throws(NetlinkError) in try socket.setUp(interfaceIndex: loopback) }
    return ["set lo up"]
  }

  /// What another hand configured in a way that would announce the VIP is not ours to undo.
  private func refuse(_ vip: IPAddress, amongst present: [InterfaceAddress]) throws(Failure) {
    for other in present where other.address == vip && !isOnLoopback(other, vip) {
      let place = "\(vip)/\(other.prefixLength) dev \(name(of: other.interfaceIndex))"
      throw Failure(
        description: "\(vip) is set up in a way that answers for it on the LAN: first run "
          + "`ip address del \(place)`")
    }
  }

  // MARK: check

  /// Line by line what a real server for `vips` needs.
  public func check(_ vips: [IPAddress]) throws(Failure) -> [Finding] {
    try Self.validate(vips)
    let present = try addresses()
    var findings = [
      Finding(
        statement: try isLoopbackUp() ? "lo is up" : "lo is down",
        mend: try isLoopbackUp() ? nil : "ip link set lo up")
    ]
    for vip in vips { findings += try check(vip, present) }
    if vips.contains(where: \.isIPv4) {
      for sysctl in Sysctl.realServer { findings.append(try sysctl.check()) }
      findings += try Sysctl.checkInterfaces()
    }
    return findings
  }

  private func check(
    _ vip: IPAddress, _ present: [InterfaceAddress]
  ) throws(Failure) -> [Finding] {
    let wanted = "\(vip)/\(vip.bitWidth)"
    let own = present.first { isOnLoopback($0, vip) }
    var findings = [
      Finding(
        statement: own != nil ? "\(wanted) is on lo" : "\(wanted) is not on lo",
        mend: own != nil ? nil : "martinet realserver up \(vip)")
    ]
    for other in present where other.address == vip && !isOnLoopback(other, vip) {
      let place = "\(vip)/\(other.prefixLength) dev \(name(of: other.interfaceIndex))"
      findings.append(
        Finding(
          statement: "\(place) answers for the VIP on the LAN", mend: "ip address del \(place)"))
    }
    guard let own else { return findings }
    let isDelivered = try isDeliveredLocally(vip)
    findings.append(
      Finding(
        statement: "the kernel \(isDelivered ? "takes" : "does not take") \(vip) as its own",
        mend: isDelivered ? nil : "martinet realserver up \(vip)"))
    if !vip.isIPv4 {
      findings.append(
        Finding(
          statement: "\(vip) is \(own.isDeprecated ? "no" : "a") source of new connections",
          mend: own.isDeprecated ? nil : "ip address change \(wanted) dev lo preferred_lft 0"))
    }
    return findings
  }

  // MARK: The host

  private static func validate(_ vips: [IPAddress]) throws(Failure) {
    for vip in vips where !vip.isUnicast || vip.isLoopback {
      throw Failure(description: "\(vip) cannot be a VIP: give a unicast address of your network")
    }
  }

  private func isOnLoopback(_ other: InterfaceAddress, _ vip: IPAddress) -> Bool {
    other.address == vip && other.interfaceIndex == loopback && other.prefixLength == vip.bitWidth
  }

  private func addresses() throws(Failure) -> [InterfaceAddress] {
    try perform { () throws(NetlinkError) in try socket.addresses() }
  }

  private func isLoopbackUp() throws(Failure) -> Bool {
    try perform { () throws(NetlinkError) in try socket.link(index: loopback) }?.isUp ?? false
  }

  private func isDeliveredLocally(_ vip: IPAddress) throws(Failure) -> Bool {
    (try? socket.route(to: vip))?.type == Int32(RTN_LOCAL)
  }

  private func name(of index: Int32) -> String {
    (try? socket.link(index: index))?.name ?? "\(index)"
  }

  private func perform<Value>(
    _ action: () throws(NetlinkError) -> Value
  ) throws(Failure) -> Value {
    do { return try action() } catch { throw Failure(description: "\(error)") }
  }
}

extension IPAddress {
  var isIPv4: Bool {
    if case .v4 = self { true } else { false }
  }
}
