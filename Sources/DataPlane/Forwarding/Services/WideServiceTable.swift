// SPDX-License-Identifier: Apache-2.0

/// Ports of a VIP and protocol that all lead to one service, 32 octets.
struct WidePorts: BitwiseCopyable {
  /// The VIP, an IPv4 one as ::ffff:a.b.c.d.
  var high: UInt64
  var low: UInt64
  var first: UInt16
  var last: UInt16
  var service: UInt16
  /// The VIP's number within the service.
  var vip: UInt16
  var ipProtocol: UInt8

  init(_ ports: VirtualPorts, service: ServiceIndex, vip: UInt16) {
    (high, low) = ports.address.words
    (first, last) = (ports.ports.lowerBound.rawValue, ports.ports.upperBound.rawValue)
    self.service = service.rawValue
    self.vip = vip
    ipProtocol = ports.ipProtocol.rawValue
  }

  /// Whether a packet can be to both.
  func overlaps(_ other: WidePorts) -> Bool {
    high == other.high && low == other.low && ipProtocol == other.ipProtocol
      && first <= other.last && other.first <= last
  }

  /// Whether it begins behind this port, in the table's order.
  func isBehind(_ fields: IPv6Fields) -> Bool {
    if high != fields.destinationHigh { return high > fields.destinationHigh }
    if low != fields.destinationLow { return low > fields.destinationLow }
    let transport = fields.transport
    if ipProtocol != transport.ipProtocol { return ipProtocol > transport.ipProtocol }
    return first > transport.destinationPort
  }

  func contains(_ fields: IPv6Fields) -> Bool {
    high == fields.destinationHigh && low == fields.destinationLow
      && ipProtocol == fields.transport.ipProtocol && first <= fields.transport.destinationPort
      && fields.transport.destinationPort <= last
  }
}

/// (VIP, port, protocol) -> service, where many ports lead to one: in order of VIP, protocol and
/// first port, without overlaps. Asked about packets that no service of one port takes.
struct WideServiceTable: BitwiseCopyable {
  let entries: UnsafeMutablePointer<WidePorts>
  let count: Int

  /// The entry of a packet's destination. IPv4 addresses are in the form ::ffff:a.b.c.d.
  func lookUp(_ fields: IPv6Fields) -> WidePorts? {
    var (begin, end) = (0, count)
    while begin < end {
      let middle = (begin &+ end) &>> 1
      if entries[middle].isBehind(fields) { end = middle } else { begin = middle &+ 1 }
    }
    guard begin > 0, entries[begin &- 1].contains(fields) else { return nil }
    return entries[begin &- 1]
  }
}
