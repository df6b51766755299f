// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// `host[:port]` as ipvsadm reads it: `192.0.2.1:80`, `[2001:db8::1]:80`, `2001:db8::1`,
/// `www.example.org:http`. IPv4 addresses may be short as inet_aton(3) takes them.
struct HostAndPort: Equatable {
  var address: IPAddress
  /// nil where the text has none.
  var port: Port?

  init?(_ text: String, ipProtocol: IPProtocol, names: NameService) {
    guard !text.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f }),
      !text.utf8.allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]"),
        let address = IPv6Address(text[text.index(after: text.startIndex)..<end])
      else { return nil }
      let rest = text[text.index(after: end)...]
      guard rest.hasPrefix(":"),
        let port = Self.port(rest.dropFirst(), ipProtocol: ipProtocol, names: names)
      else { return nil }
      self.address = .v6(address)
      self.port = port
    } else if let address = IPv6Address(text) {
      self.address = .v6(address)
    } else {
      var host = text[...]
      if let colon = text.lastIndex(of: ":") {
        host = text[..<colon]
        let name = text[text.index(after: colon)...]
        guard let port = Self.port(name, ipProtocol: ipProtocol, names: names) else { return nil }
        self.port = port
      }
      guard let address = Self.ipv4(String(host)) ?? names.address(String(host)) else { return nil }
      self.address = .v4(address)
    }
  }

  /// As inet_aton(3) takes it.
  static func ipv4(_ text: String) -> IPv4Address? {
    var address = in_addr()
    guard inet_aton(text, &address) != 0 else { return nil }
    return IPv4Address(rawValue: UInt32(bigEndian: address.s_addr))
  }

  private static func port(
    _ text: Substring, ipProtocol: IPProtocol, names: NameService
  ) -> Port? {
    UInt16(text).map { Port($0) } ?? names.port(String(text), ipProtocol)
  }
}
