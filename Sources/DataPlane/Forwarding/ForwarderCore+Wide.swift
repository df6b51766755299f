// SPDX-License-Identifier: Apache-2.0
import CMachine

/// Services of many ports. Their connections, of both IP versions, live in the IPv6 table, whose
/// key has room for the destination; their packets join those of IPv6 in pass 2.
extension ForwarderCore {
  /// Makes the packets that no service of one port takes IPv6 packets, from `place` on, where one
  /// of many ports does, and drops the rest.
  ///
  /// - Returns: the place behind the last one.
  @inline(never)
  static func acceptWide(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch,
    _ place: UnsafeMutablePointer<IPv6Packet>
  ) -> UnsafeMutablePointer<IPv6Packet> {
    var place = place
    for number in 0..<core.pointee.unservedCount {
      let index = Int(core.pointee.unserved[number])
      if let packet = widePacket(core, batch, index) {
        place.pointee = packet
        place += 1
      } else {
        drop(core, batch, index, .noService)
      }
    }
    core.pointee.unservedCount = 0
    return place
  }

  private static func widePacket(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int
  ) -> IPv6Packet? {
    let frame = batch.frame(index)
    let bytes = frame.bytes
    guard let (offset, type) = PacketParser.networkHeader(bytes) else { return nil }
    let parsed =
      type == .ipv4
      ? PacketParser.ipv4(bytes, at: offset).fields.map(IPv6Fields.init(mapping:))
      : PacketParser.ipv6(bytes, at: offset).fields
    guard let fields = parsed, let key = core.pointee.wideKey(of: fields) else {
      return nil
    }
    let line = core.pointee.ipv6.line(core.pointee.hashKey.hash(key.high, key.low, key.transport))
    machine_prefetch(line)
    return IPv6Packet(
      key: key, line: line, frame: frame.baseAddress.unsafelyUnwrapped,
      traits: PacketTraits(fields.transport, index: index))
  }

  /// The connection of a packet to a service of many ports.
  func wideKey(of fields: IPv6Fields) -> IPv6ConnectionKey? {
    guard let ports = content.pointee.wideServices.lookUp(fields) else { return nil }
    var key = IPv6ConnectionKey(
      high: fields.sourceHigh, low: fields.sourceLow, port: fields.transport.sourcePort,
      service: ports.service)
    key.setDestination(port: fields.transport.destinationPort, vip: ports.vip)
    return key
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
