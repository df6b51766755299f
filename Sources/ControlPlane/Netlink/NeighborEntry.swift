// SPDX-License-Identifier: Apache-2.0
import CNetlink
import DataPlane

/// An entry of the kernel's neighbour table.
struct NeighborEntry: Hashable {
  var address: IPAddress
  var interfaceIndex: Int32
  var macAddress: MACAddress?
  /// NUD_* of linux/neighbour.h.
  var state: Int32
  /// The kernel keeps it resolved by itself (NTF_EXT_MANAGED, since Linux 5.16).
  var isManaged: Bool
  var isDeletion: Bool

  /// The kernel would send to `macAddress` now: NUD_VALID of net/neighbour.h.
  var isValid: Bool {
    !isDeletion && macAddress != nil
      && state & (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)
        != 0
  }

  /// Set by the operator: nothing of ours to manage.
  var isStatic: Bool { !isDeletion && state & (NUD_PERMANENT | NUD_NOARP) != 0 }

  /// Reads an RTM_NEWNEIGH or RTM_DELNEIGH message; nil for anything else.
  init?(_ header: UnsafeMutablePointer<nlmsghdr>) {
    let type = Int32(header.pointee.nlmsg_type)
    var entry: OpaquePointer?
    guard type == RTM_NEWNEIGH || type == RTM_DELNEIGH, rtnl_neigh_parse(header, &entry) == 0,
      let entry
    else { return nil }
    defer { rtnl_neigh_put(entry) }
    guard let destination = rtnl_neigh_get_dst(entry),
      let address = IPAddress(netlinkAddress: destination)
    else { return nil }
    self.address = address
    interfaceIndex = rtnl_neigh_get_ifindex(entry)
    macAddress = MACAddress(netlinkAddress: rtnl_neigh_get_lladdr(entry))
    let state = rtnl_neigh_get_state(entry)
    self.state = state < 0 ? NUD_NONE : state
    isDeletion = type == RTM_DELNEIGH
    let flags = nlmsg_find_attr(
      header, Int32(MemoryLayout<ndmsg>.size), Int32(NDA_FLAGS_EXT))
    isManaged = flags.map { nla_get_u32($0) & UInt32(NTF_EXT_MANAGED) != 0 } ?? false
  }
}

extension NetlinkSocket {
  func neighbor(_ address: IPAddress, interfaceIndex: Int32) -> NeighborEntry? {
    let message = Self.neighborMessage(RTM_GETNEIGH, address, interfaceIndex)
    var entry: NeighborEntry?
    // The kernel says ENOENT where there is none.
    try? request(message, "look up neighbour \(address)") { entry = NeighborEntry($0) }
    return entry
  }

  /// Has the kernel resolve `address` now (NTF_USE), and again whenever its entry gets old
  /// if `managed`.
  ///
  /// NTF_USE sends what the kernel would for a packet of its own, ARP or neighbour solicitation,
  /// and nothing else: no datagram of ours meets the real server. Kernels that do not know
  /// NTF_EXT_MANAGED ignore the attribute.
  func resolve(
    _ address: IPAddress, interfaceIndex: Int32, managed: Bool
  ) throws(NetlinkError) {
    let message = Self.neighborMessage(
      RTM_NEWNEIGH, flags: NLM_F_CREATE | NLM_F_REPLACE, address, interfaceIndex,
      neighborFlags: managed ? 0 : NTF_USE)
    if managed { message.append(Int(NDA_FLAGS_EXT), UInt32(NTF_EXT_MANAGED)) }
    try request(message, "resolve neighbour \(address)")
  }

  private static func neighborMessage(
    _ type: Int, flags: Int32 = 0, _ address: IPAddress, _ interfaceIndex: Int32,
    neighborFlags: Int32 = 0
  ) -> NetlinkMessage {
    var header = ndmsg()
    header.ndm_family = UInt8(address.family)
    header.ndm_ifindex = interfaceIndex
    header.ndm_flags = UInt8(neighborFlags)
    let message = NetlinkMessage(type: Int32(type), flags: flags, header)
    message.append(Int(NDA_DST), address)
    return message
  }
}
