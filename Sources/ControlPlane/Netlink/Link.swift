// SPDX-License-Identifier: Apache-2.0
import CNetlink
import DataPlane

/// A network interface as the kernel reports it.
struct Link: Hashable {
  var index: Int32
  var name: String
  var macAddress: MACAddress?
  var mtu: Int?
  /// Administratively up with a carrier.
  var isUp: Bool
  var isDeletion: Bool

  /// Reads an RTM_NEWLINK or RTM_DELLINK message; nil for anything else.
  init?(_ header: UnsafeMutablePointer<nlmsghdr>) {
    let type = Int32(header.pointee.nlmsg_type)
    guard type == RTM_NEWLINK || type == RTM_DELLINK,
      nlmsg_datalen(header) >= MemoryLayout<ifinfomsg>.size,
      let name = nlmsg_find_attr(header, Int32(MemoryLayout<ifinfomsg>.size), Int32(IFLA_IFNAME))
    else { return nil }
    let message = nlmsg_data(header).load(as: ifinfomsg.self)
    // A bridge port's membership is told in the same words under another family.
    guard message.ifi_family == AF_UNSPEC else { return nil }
    index = message.ifi_index
    isDeletion = type == RTM_DELLINK
    self.name = String(cString: nla_get_string(name))
    let needed = UInt32(IFF_UP.rawValue | IFF_RUNNING.rawValue)
    isUp = message.ifi_flags & needed == needed
    if let attribute = nlmsg_find_attr(
      header, Int32(MemoryLayout<ifinfomsg>.size), Int32(IFLA_MTU))
    {
      mtu = Int(nla_get_u32(attribute))
    }
    if let address = nlmsg_find_attr(
      header, Int32(MemoryLayout<ifinfomsg>.size), Int32(IFLA_ADDRESS)),
      nla_len(address) == 6
    {
      macAddress = MACAddress(octets: UnsafeRawBufferPointer(start: nla_data(address), count: 6))
    }
  }
}

extension NetlinkSocket {
  func link(index: Int32) throws(NetlinkError) -> Link? {
    var header = ifinfomsg()
    header.ifi_index = index
    var link: Link?
    try request(
      NetlinkMessage(type: Int32(RTM_GETLINK), header), "look up interface \(index)"
    ) { link = Link($0) }
    return link
  }

  /// How the kernel would send to `address`.
  func route(to address: IPAddress) throws(NetlinkError) -> Route? {
    var header = rtmsg()
    header.rtm_family = UInt8(address.family)
    header.rtm_dst_len = UInt8(address.bitWidth)
    let message = NetlinkMessage(type: Int32(RTM_GETROUTE), header)
    message.append(Int(RTA_DST.rawValue), address)
    var route: Route?
    try request(message, "look up the route to \(address)") { route = Route($0) }
    return route
  }
}

/// The answer to a route lookup.
struct Route: Hashable {
  /// RTN_UNICAST, RTN_LOCAL, RTN_BROADCAST …
  var type: Int32
  var gateway: IPAddress?
  /// 0 where there is none.
  var interfaceIndex: Int32

  init?(_ header: UnsafeMutablePointer<nlmsghdr>) {
    var route: OpaquePointer?
    guard header.pointee.nlmsg_type == RTM_NEWROUTE, rtnl_route_parse(header, &route) == 0,
      let route
    else { return nil }
    defer { rtnl_route_put(route) }
    type = Int32(rtnl_route_get_type(route))
    interfaceIndex = 0
    guard let hop = rtnl_route_nexthop_n(route, 0) else { return }
    interfaceIndex = rtnl_route_nh_get_ifindex(hop)
    gateway = (rtnl_route_nh_get_gateway(hop) ?? rtnl_route_nh_get_via(hop))
      .flatMap(IPAddress.init(netlinkAddress:))
  }
}
