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
    var host = text[...]
    var portName: Substring?
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else { return nil }
      let rest = text[text.index(after: end)...]
      guard rest.hasPrefix(":") else { return nil }
      host = text[..<end].dropFirst()
      portName = rest.dropFirst()
    }
    if let address = IPv6Address(host) {
      self.address = .v6(address)
    } else {
      // ipvsadm forgets what stands behind the brackets of another address.
      portName = nil
      if let colon = host.lastIndex(of: ":") {
        portName = host[host.index(after: colon)...]
        host = host[..<colon]
      }
      guard let address = Self.ipv4(String(host)) ?? names.address(String(host)) else { return nil }
      self.address = .v4(address)
    }
    if let portName {
      guard let port = Self.port(portName, ipProtocol: ipProtocol, names: names) else {
        return nil
      }
      self.port = port
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
    number(text, in: 0...65_535).map { Port(UInt16($0)) } ?? names.port(String(text), ipProtocol)
  }
}
