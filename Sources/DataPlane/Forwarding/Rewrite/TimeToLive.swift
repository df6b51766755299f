// SPDX-License-Identifier: Apache-2.0

extension ServicePolicy.TimeToLive {
  /// Changes the TTL of a whole IPv4 header with its checksum, or the hop limit of an IPv6 one.
  ///
  /// - Returns: false, the header untouched, if the packet's time to live ends here.
  func apply(to header: UnsafeMutableRawPointer, isIPv6: Bool) -> Bool {
    let field = isIPv6 ? 7 : 8
    let old = header.uint8(at: field)
    let new: UInt8
    switch self {
    case .preserve: return true
    case .decrement:
      guard old > 1 else { return false }
      new = old &- 1
    case .one: new = 1
    }
    header.store(uint8: new, at: field)
    if !isIPv6 {
      // The low octet of the word, the protocol, stays: RFC 1624, equation 3.
      var checksum = InternetChecksum()
      checksum.add(~header.uint16(at: 10))
      checksum.add(~(UInt16(old) &<< 8))
      checksum.add(UInt16(new) &<< 8)
      header.store(uint16: checksum.value, at: 10)
    }
    return true
  }
}
