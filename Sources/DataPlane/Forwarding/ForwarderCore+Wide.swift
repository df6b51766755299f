// SPDX-License-Identifier: Apache-2.0
import CMachine

/// Services of many ports. Their connections, of both IP versions, live in the IPv6 table, whose
/// key has room for the destination; their packets join those of IPv6 in pass 2.
extension ForwarderCore {
  /// Makes the packets that no service of one port takes IPv6 packets, behind `ipv6Count` others,
  /// where one of many ports does, and drops the rest.
  ///
  /// - Returns: how many IPv6 packets there are now.
  @inline(never)
  static func acceptWide(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ ipv6Count: Int
  ) -> Int {
    var ipv6Count = ipv6Count
    for place in 0..<core.pointee.unservedCount {
      let index = Int(core.pointee.misses[place])
      if acceptWide(core, batch, index, place: ipv6Count) {
        ipv6Count &+= 1
      } else {
        drop(core, batch, index, .noService)
      }
    }
    core.pointee.unservedCount = 0
    return ipv6Count
  }

  private static func acceptWide(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int, place: Int
  ) -> Bool {
    let frame = batch.frame(index)
    let bytes = frame.bytes
    guard let (offset, type) = PacketParser.networkHeader(bytes) else { return false }
    let parsed =
      type == .ipv4
      ? PacketParser.ipv4(bytes, at: offset).fields.map(IPv6Fields.init(mapping:))
      : PacketParser.ipv6(bytes, at: offset).fields
    guard let fields = parsed, let (key, service) = core.pointee.wideKey(of: fields) else {
      return false
    }
    let line = core.pointee.ipv6.line(core.pointee.hashKey.hash(key.high, key.low, key.transport))
    machine_prefetch(line)
    core.pointee.ipv6Packets[place] = IPv6Packet(
      key: key, line: line, frame: frame.baseAddress.unsafelyUnwrapped,
      traits: PacketTraits(fields.transport, index: index))
    return true
  }

  /// The connection of a packet to a service of many ports.
  func wideKey(of fields: IPv6Fields) -> (key: IPv6ConnectionKey, service: UInt16)? {
    guard let ports = content.pointee.wideServices.lookUp(fields) else { return nil }
    var key = IPv6ConnectionKey(
      high: fields.sourceHigh, low: fields.sourceLow, port: fields.transport.sourcePort,
      service: ports.service)
    key.setDestination(port: fields.transport.destinationPort, vip: ports.vip)
    return (key, ports.service)
  }
}

extension IPv6Fields {
  /// An IPv4 packet's, with addresses in the form ::ffff:a.b.c.d of RFC 4291 §2.5.5.2.
  init(mapping fields: IPv4Fields) {
    self.init(
      sourceHigh: 0, sourceLow: 0xffff_0000_0000 | UInt64(fields.source),
      destinationHigh: 0, destinationLow: 0xffff_0000_0000 | UInt64(fields.destination),
      transport: fields.transport)
  }
}
