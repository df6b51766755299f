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
      guard let remaining: UInt32 = reader.number(), let idle: UInt32 = reader.number(),
        let service = reader.service()
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
  var pathText: Octets {
    guard mark == nil else { return "\(path)" }
    return "\(ipProtocol.serviceProtocol)/\(address)/\(port)"
  }

  fileprivate var json: Octets {
    if let mark { return #"{"ipVersion":\#(UInt32(address.version)),"mark":\#(mark.rawValue)}"# }
    return #"{"address":"\#(address)","port":\#(port),"protocol":"\#(ipProtocol.serviceProtocol)"}"#
  }
}
