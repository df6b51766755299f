// SPDX-License-Identifier: Apache-2.0
import CNetlink
import DataPlane
import Glibc

/// An address of an interface of this host.
struct InterfaceAddress: Hashable {
  var address: IPAddress
  var prefixLength: Int32
  var interfaceIndex: Int32
  /// An IPv6 address that is no source of new connections (RFC 4862 §5.5.4).
  var isDeprecated: Bool
  /// Who put it there (IFA_PROTO, Linux 5.18); 0 where nobody says.
  var addressProtocol: UInt8

  /// Reads an RTM_NEWADDR message; nil for anything else.
  init?(_ header: UnsafeMutablePointer<nlmsghdr>) {
    let size = MemoryLayout<ifaddrmsg>.size
    guard header.pointee.nlmsg_type == RTM_NEWADDR, nlmsg_datalen(header) >= size,
      // On a point-to-point link IFA_ADDRESS is the other end's; IPv6 has no IFA_LOCAL then.
      let attribute = nlmsg_find_attr(header, Int32(size), Int32(IFA_LOCAL))
        ?? nlmsg_find_attr(header, Int32(size), Int32(IFA_ADDRESS))
    else { return nil }
    let message = nlmsg_data(header).load(as: ifaddrmsg.self)
    guard
      let octets = nl_addr_build(
        Int32(message.ifa_family), nla_data(attribute), Int(nla_len(attribute)))
    else { return nil }
    defer { nl_addr_put(octets) }
    guard let address = IPAddress(netlinkAddress: octets) else { return nil }
    self.address = address
    prefixLength = Int32(message.ifa_prefixlen)
    interfaceIndex = Int32(message.ifa_index)
    isDeprecated = Int32(message.ifa_flags) & IFA_F_DEPRECATED != 0
    addressProtocol =
      nlmsg_find_attr(header, Int32(size), Int32(IFA_PROTO)).map { nla_get_u8($0) } ?? 0
  }
}

extension InterfaceAddress {
  /// Whether another address is on the network that this one is of.
  func isNeighbor(of other: IPAddress) -> Bool {
    switch (address, other) {
    case (.v4(let own), .v4(let other)):
      return prefixLength == 0 || (own.rawValue ^ other.rawValue) >> UInt32(32 - prefixLength) == 0
    case (.v6(let own), .v6(let other)):
      let mask = IPv6Address(prefixLength: Int(prefixLength))
      return (own.high ^ other.high) & mask.high == 0 && (own.low ^ other.low) & mask.low == 0
    default: return false
    }
  }
}

extension NetlinkSocket {
  /// All interfaces' addresses of both families.
  func addresses() throws(NetlinkError) -> [InterfaceAddress] {
    var addresses: [InterfaceAddress] = []
    try request(
      NetlinkMessage(type: Int32(RTM_GETADDR), flags: NLM_F_DUMP, ifaddrmsg()),
      "list this host's addresses"
    ) { header in
      if let address = InterfaceAddress(header) { addresses.append(address) }
    }
    return addresses
  }

  /// Adds a host address that, if IPv6, is deprecated from the start and is not probed for.
  func addHostAddress(
    _ address: IPAddress, interfaceIndex: Int32, addressProtocol: UInt8 = 0
  ) throws(NetlinkError) {
    let message = Self.addressMessage(
      RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_EXCL, address, interfaceIndex,
      addressFlags: IFA_F_NODAD)
    if case .v6 = address {
      message.append(
        Int(IFA_CACHEINFO),
        ifa_cacheinfo(ifa_prefered: 0, ifa_valid: .max, cstamp: 0, tstamp: 0))
    }
    if addressProtocol != 0 { message.append(Int(IFA_PROTO), addressProtocol) }
    try request(message, "add \(address)/\(address.bitWidth)")
  }

  func removeHostAddress(_ address: IPAddress, interfaceIndex: Int32) throws(NetlinkError) {
    let message = Self.addressMessage(RTM_DELADDR, address, interfaceIndex)
    try request(message, "remove \(address)/\(address.bitWidth)")
  }

  func setUp(interfaceIndex: Int32) throws(NetlinkError) {
    var header = ifinfomsg()
    header.ifi_index = interfaceIndex
    header.ifi_flags = UInt32(IFF_UP.rawValue)
    header.ifi_change = UInt32(IFF_UP.rawValue)
    try request(
      NetlinkMessage(type: Int32(RTM_NEWLINK), header), "set interface \(interfaceIndex) up")
  }

  private static func addressMessage(
    _ type: Int, flags: Int32 = 0, _ address: IPAddress, _ interfaceIndex: Int32,
    addressFlags: Int32 = 0
  ) -> NetlinkMessage {
    var header = ifaddrmsg()
    header.ifa_family = UInt8(address.family)
    header.ifa_prefixlen = UInt8(address.bitWidth)
    header.ifa_flags = UInt8(addressFlags)
    header.ifa_index = UInt32(interfaceIndex)
    let message = NetlinkMessage(type: Int32(type), flags: flags, header)
    message.append(Int(IFA_LOCAL), address)
    message.append(Int(IFA_ADDRESS), address)
    return message
  }
}
