// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// An address and a port to listen on: `127.0.0.1:9749`, `[::1]:9749`.
public struct TCPEndpoint: Hashable, Sendable, CustomStringConvertible {
  public var address: IPAddress
  public var port: Port

  init(address: IPAddress, port: Port) {
    self.address = address
    self.port = port
  }

  /// nil where the text is no address with a port.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), !text.utf8.contains(0),
      let port = UInt16(text[text.index(after: colon)...]), port != 0
    else { return nil }
    var host = text[..<colon]
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    if isBracketed { host = host.dropFirst().dropLast() }
    guard let address = IPAddress(String(host)) else { return nil }
    if case .v6 = address, !isBracketed { return nil }
    if case .v4 = address, isBracketed { return nil }
    self.address = address
    self.port = Port(port)
  }

  public var description: String {
    switch address {
    case .v4: "\(address):\(port.rawValue)"
    case .v6: "[\(address)]:\(port.rawValue)"
    }
  }
}
