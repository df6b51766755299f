// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Connections as octets, written and read without Foundation's coders: there are millions of them,
/// and those take many times as long.
extension ConnectionReport {
  /// A line of comma-separated values (RFC 4180), without quotes because none needs them:
  /// protocol, client, its port, VIP, port, real server, its port, state, seconds left, seconds
  /// idle, service.
  public var row: [UInt8] {
    let text: Octets = """
      \(virtual.ipProtocol.serviceProtocol),\(clientAddress),\(clientPort),\(virtual.address),\
      \(virtual.port),\(realServer.address),\(realServer.port),\(state),\(remainingSeconds),\
      \(idleSeconds),\(service.pathText, width: 0)

      """
    return text.octets
  }

  /// The same document as its `Encodable` one.
  public var json: [UInt8] {
    let text: Octets = """
      {"clientAddress":"\(clientAddress)","clientPort":\(clientPort),"idleSeconds":\(idleSeconds),\
      "realServer":{"address":"\(realServer.address)","port":\(realServer.port)},\
      "remainingSeconds":\(remainingSeconds),"service":\(service.json, width: 0),\
      "state":"\(state)","virtual":\(virtual.json, width: 0)}
      """
    return text.octets
  }

  /// Rows one behind the other; nil where a line is none.
  public static func reports(rows octets: [UInt8]) -> [ConnectionReport]? {
    var reader = RowReader(octets: octets)
    var reports: [ConnectionReport] = []
    while !reader.isAtEnd {
      guard let ipProtocol = IPProtocol(serviceProtocol: reader.text()),
        let client = reader.address(), let clientPort = reader.port(),
        let vip = reader.address(), let port = reader.port(),
        let server = reader.address(), let serverPort = reader.port()
      else { return nil }
      let state = reader.text()
      guard let remaining = reader.number(), let idle = reader.number(),
        let service = VirtualServiceKey(
          path: reader.text().split(separator: "/").map(String.init))
      else { return nil }
      reports.append(
        ConnectionReport(
          service: service,
          virtual: VirtualServiceKey(address: vip, ipProtocol: ipProtocol, port: port),
          clientAddress: client, clientPort: clientPort,
          realServer: RealServerAddress(address: server, port: serverPort), state: state,
          remainingSeconds: remaining, idleSeconds: idle))
    }
    return reports
  }
}

extension VirtualServiceKey {
  /// `path`, as quickly as octets are copied.
  fileprivate var pathText: Octets {
    guard mark == nil else { return "\(path)" }
    return "\(ipProtocol.serviceProtocol)/\(address)/\(port)"
  }

  fileprivate var json: Octets {
    if let mark { return #"{"ipVersion":\#(UInt32(address.version)),"mark":\#(mark.rawValue)}"# }
    return #"{"address":"\#(address)","port":\#(port),"protocol":"\#(ipProtocol.serviceProtocol)"}"#
  }
}

/// Fields one after the other; a missing one is empty.
private struct RowReader {
  let octets: [UInt8]
  private var position = 0

  init(octets: [UInt8]) { self.octets = octets }

  var isAtEnd: Bool { position == octets.count }

  private mutating func field() -> ArraySlice<UInt8> {
    let start = position
    while position < octets.count, !Self.isEnd(octets[position]) { position += 1 }
    let field = octets[start..<position]
    if position < octets.count { position += 1 }
    return field
  }

  private static func isEnd(_ octet: UInt8) -> Bool {
    octet == UInt8(ascii: ",") || octet == UInt8(ascii: "\n")
  }

  mutating func text() -> String { String(decoding: field(), as: UTF8.self) }

  mutating func number() -> UInt32? { Self.number(field()) }

  mutating func port() -> Port? {
    Self.number(field()).flatMap(UInt16.init(exactly:)).map { Port($0) }
  }

  mutating func address() -> IPAddress? {
    let field = field()
    guard !field.contains(UInt8(ascii: ":")) else {
      return IPAddress(String(decoding: field, as: UTF8.self))
    }
    var address: UInt32 = 0
    var octets = 0
    for part in field.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
      guard let octet = Self.number(part), octet <= 0xff else { return nil }
      address = address << 8 | octet
      octets += 1
    }
    return octets == 4 ? .v4(IPv4Address(rawValue: address)) : nil
  }

  private static func number(_ digits: ArraySlice<UInt8>) -> UInt32? {
    guard !digits.isEmpty, digits.count <= 10 else { return nil }
    var number: UInt64 = 0
    for digit in digits {
      guard (0x30...0x39).contains(digit) else { return nil }
      number = number * 10 + UInt64(digit - 0x30)
    }
    return UInt32(exactly: number)
  }
}
