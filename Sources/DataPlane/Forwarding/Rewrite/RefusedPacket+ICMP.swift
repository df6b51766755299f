// SPDX-License-Identifier: Apache-2.0

/// An ICMP error is made by moving the packet back and quoting it.
extension RefusedPacket {
  /// RFC 1812 §4.3.2.3 and RFC 4443 §2.4 (c): the longest error.
  private static let longestIPv4 = 576
  private static let longestIPv6 = 1280
  private static let headerBytes = 8

  /// Type and code as one word, of each family.
  struct ICMPError: BitwiseCopyable {
    var ipv4: UInt16
    var ipv6: UInt16

    /// RFC 792; RFC 4443 §3.1.
    static let portUnreachable = ICMPError(ipv4: 0x0303, ipv6: 0x0104)
    /// RFC 792; RFC 4443 §3.3: hop limit exceeded in transit.
    static let timeExceeded = ICMPError(ipv4: 0x0b00, ipv6: 0x0300)
    /// RFC 1191 §4: fragmentation needed and DF set; RFC 4443 §3.2.
    static let packetTooBig = ICMPError(ipv4: 0x0304, ipv6: 0x0200)
  }

  /// As `make`.
  ///
  /// - Parameter mtu: the MTU that the error tells; 0 where it tells none.
  func makeICMPError(_ error: ICMPError, mtu: UInt16 = 0) -> Int? {
    let ipBytes = isIPv6 ? 40 : 20
    let longest = isIPv6 ? Self.longestIPv6 : Self.longestIPv4
    let messageBytes = min(Self.headerBytes + packetBytes, longest - ipBytes)
    guard offset + ipBytes + messageBytes <= room, isNoError else { return nil }
    let message = packet + ipBytes
    (message + Self.headerBytes).copyMemory(
      from: packet, byteCount: messageBytes - Self.headerBytes)
    let ipProtocol: IPProtocol = isIPv6 ? .icmpv6 : .icmp
    // Type of service: internetwork control, RFC 1812 §4.3.2.5.
    writeHeaders(ipProtocol, bytes: messageBytes, typeOfService: 0xc0)
    message.store(uint16: isIPv6 ? error.ipv6 : error.ipv4, at: 0)
    message.store(uint16: 0, at: 2)
    message.store(uint32: UInt32(mtu), at: 4)
    var checksum =
      isIPv6 ? pseudoHeader(.icmpv6, bytes: messageBytes) : InternetChecksum()
    checksum.add(message, count: messageBytes)
    message.store(uint16: checksum.value, at: 2)
    return offset + ipBytes + messageBytes
  }

  /// RFC 1122 §3.2.2, RFC 4443 §2.4 (e): no error answers an error, nor a later fragment; of IPv6
  /// as in LVS (`ensure_mtu_is_adequate` of ip_vs_xmit.c).
  private var isNoError: Bool {
    if isLaterFragment { return false }
    guard let upper = upperLayer else { return true }
    return upper.header != IPProtocol.icmp.rawValue && upper.header != IPProtocol.icmpv6.rawValue
  }
}
