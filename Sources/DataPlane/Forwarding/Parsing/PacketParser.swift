// SPDX-License-Identifier: Apache-2.0

/// What the decision needs of an IPv4 packet.
struct IPv4Fields: BitwiseCopyable {
  var source: UInt32
  var destination: UInt32
  var transport: TransportFields
}

/// What the decision needs of an IPv6 packet.
struct IPv6Fields: BitwiseCopyable {
  var sourceHigh: UInt64
  var sourceLow: UInt64
  var destinationHigh: UInt64
  var destinationLow: UInt64
  var transport: TransportFields
}

struct TransportFields: BitwiseCopyable {
  var sourcePort: UInt16
  var destinationPort: UInt16
  var ipProtocol: UInt8
  var event: ConnectionEvent
  /// Octets from the IP header to the end of the IP packet; padding of the frame excluded.
  var ipBytes: UInt16
}

extension TransportFields {
  /// - Parameter ports: as they lie in a header, the source port first.
  @inline(__always)
  init(ports: UInt32, ipProtocol: UInt8, event: ConnectionEvent, ipBytes: Int) {
    self.init(
      sourcePort: UInt16(truncatingIfNeeded: ports &>> 16),
      destinationPort: UInt16(truncatingIfNeeded: ports), ipProtocol: ipProtocol, event: event,
      ipBytes: UInt16(truncatingIfNeeded: ipBytes))
  }
}

/// An IPv6 packet's header behind its options, and where in the frame it starts, which may be
/// beyond the packet's end.
struct UpperLayer: BitwiseCopyable {
  var header: UInt8
  var offset: Int
}

/// A parsed header or the reason why there is none. `reason` is meaningful where `fields` is nil.
struct Parsed<Fields: BitwiseCopyable>: BitwiseCopyable {
  var fields: Fields?
  var reason: DropReason

  @inline(__always) init(_ fields: Fields) {
    self.fields = fields
    reason = .truncated
  }

  @inline(__always) init(drop reason: DropReason) {
    fields = nil
    self.reason = reason
  }
}

/// Reads untrusted frames. Every header is guarded once, then read at fixed offsets.
///
/// `.fragmentUnmatched` and `.icmpUnmatched` are its first word only: those packets name no ports,
/// or are SCTP, and are looked at again (`ForwarderCore+Portless`).
enum PacketParser {
  static let ethernetBytes = 14
  /// RFC 8200 §4.5.
  static let fragmentHeader: UInt8 = 44
  private static let vlanTagBytes = 4
  /// Ethernet, IP without options, TCP. UDP packets that are shorter than TCP's header are not
  /// plain, so that one comparison guards all.
  private static let leastPlainIPv4Bytes = 14 + 20 + 20
  private static let leastPlainIPv6Bytes = 14 + 40 + 20
  private static let maximumVLANTags = 2
  /// Extension headers before the transport header (RFC 8200 §4.1 has four in use); the eBPF
  /// program walks as many.
  private static let maximumExtensionHeaders = 8

  /// Where the network header starts behind at most two VLAN tags, and its type; nil if truncated.
  @inline(__always)
  static func networkHeader(_ frame: RawSpan) -> (offset: Int, type: EtherType)? {
    var offset = ethernetBytes
    for tags in 0...maximumVLANTags {
      guard frame.byteCount >= offset else { return nil }
      let type = EtherType(rawValue: frame.uint16(at: offset - 2))
      let isTag = type == .vlan || type == .serviceVLAN
      if !isTag || tags == maximumVLANTags { return (offset, type) }
      offset += vlanTagBytes
    }
    return nil
  }

  /// A whole UDP or TCP packet without options right behind the Ethernet header, which nearly all
  /// are; nil for any other, of which `ipv4` says what it is.
  @inline(__always)
  static func plainIPv4(_ frame: RawSpan) -> IPv4Fields? {
    guard _fastPath(frame.byteCount >= leastPlainIPv4Bytes) else { return nil }
    let ipBytes = Int(frame.uint16(at: 16))
    // MF and the fragment offset (DF may be set), then the protocol.
    let word = frame.uint32(at: 20) & 0x3fff_00ff
    guard
      _fastPath(frame.uint16(at: 12) == EtherType.ipv4.rawValue),
      // Version 4, five words of header.
      _fastPath(frame.uint8(at: 14) == 0x45),
      let event = plainEvent(
        frame, at: 34, word, payloadBytes: ipBytes &- 20,
        room: frame.byteCount &- ethernetBytes &- 20)
    else { return nil }
    return IPv4Fields(
      source: frame.uint32(at: 26), destination: frame.uint32(at: 30),
      transport: TransportFields(
        ports: frame.uint32(at: 34), ipProtocol: UInt8(truncatingIfNeeded: word), event: event,
        ipBytes: ipBytes))
  }

  /// The event of a TCP or UDP header at `offset` that lies in a payload which lies in the `room`,
  /// at least a TCP header's, that the frame has for it.
  @inline(__always)
  private static func plainEvent(
    _ frame: RawSpan, at offset: Int, _ ipProtocol: UInt32, payloadBytes: Int, room: Int
  ) -> ConnectionEvent? {
    if _fastPath(ipProtocol == UInt32(IPProtocol.tcp.rawValue)) {
      guard _fastPath(UInt(bitPattern: payloadBytes &- 20) <= UInt(bitPattern: room &- 20)) else {
        return nil
      }
      return .tcp(flags: frame.uint8(at: offset &+ 13))
    }
    guard
      ipProtocol == UInt32(IPProtocol.udp.rawValue),
      UInt(bitPattern: payloadBytes &- 8) <= UInt(bitPattern: room &- 8)
    else { return nil }
    return .datagram
  }

  /// RFC 791. `offset` is at most 22.
  @inline(__always)
  static func ipv4(_ frame: RawSpan, at offset: Int) -> Parsed<IPv4Fields> {
    guard _fastPath(frame.byteCount >= offset &+ 20) else { return Parsed(drop: .truncated) }
    let versionAndLength = frame.uint8(at: offset)
    let headerBytes = Int(versionAndLength & 15) &* 4
    let ipBytes = Int(frame.uint16(at: offset &+ 2))
    guard
      _fastPath(versionAndLength &>> 4 == 4), _fastPath(headerBytes >= 20),
      _fastPath(ipBytes >= headerBytes)
    else { return Parsed(drop: .badHeader) }
    guard _fastPath(ipBytes <= frame.byteCount &- offset) else { return Parsed(drop: .truncated) }
    // MF and the fragment offset; DF may be set.
    guard _fastPath(frame.uint16(at: offset &+ 6) & 0x3fff == 0) else {
      return Parsed(drop: .fragmentUnmatched)
    }
    let parsed = transport(
      frame, at: offset &+ headerBytes, bytes: ipBytes &- headerBytes,
      ipProtocol: frame.uint8(at: offset &+ 9), ipBytes: ipBytes)
    guard let transport = parsed.fields else { return Parsed(drop: parsed.reason) }
    return Parsed(
      IPv4Fields(
        source: frame.uint32(at: offset &+ 12), destination: frame.uint32(at: offset &+ 16),
        transport: transport))
  }

  /// A whole UDP or TCP packet right behind the Ethernet header and the IPv6 header; nil for any
  /// other, of which `ipv6` says what it is.
  @inline(__always)
  static func plainIPv6(_ frame: RawSpan) -> IPv6Fields? {
    guard _fastPath(frame.byteCount >= leastPlainIPv6Bytes) else { return nil }
    let payloadBytes = Int(frame.uint16(at: 18))
    let ipProtocol = frame.uint8(at: 20)
    guard
      _fastPath(frame.uint16(at: 12) == EtherType.ipv6.rawValue),
      _fastPath(frame.uint8(at: 14) & 0xf0 == 0x60),
      let event = plainEvent(
        frame, at: 54, UInt32(ipProtocol), payloadBytes: payloadBytes,
        room: frame.byteCount &- ethernetBytes &- 40)
    else { return nil }
    return IPv6Fields(
      sourceHigh: frame.uint64(at: 22), sourceLow: frame.uint64(at: 30),
      destinationHigh: frame.uint64(at: 38), destinationLow: frame.uint64(at: 46),
      transport: TransportFields(
        ports: frame.uint32(at: 54), ipProtocol: ipProtocol, event: event,
        ipBytes: payloadBytes &+ 40))
  }

  /// RFC 8200. `offset` is at most 22.
  @inline(__always)
  static func ipv6(_ frame: RawSpan, at offset: Int) -> Parsed<IPv6Fields> {
    guard _fastPath(frame.byteCount >= offset &+ 40) else { return Parsed(drop: .truncated) }
    guard _fastPath(frame.uint8(at: offset) &>> 4 == 6) else { return Parsed(drop: .badHeader) }
    let payloadBytes = Int(frame.uint16(at: offset &+ 4))
    guard _fastPath(payloadBytes <= frame.byteCount &- offset &- 40) else {
      return Parsed(drop: .truncated)
    }
    let nextHeader = frame.uint8(at: offset &+ 6)
    let end = offset &+ 40 &+ payloadBytes
    let parsed: Parsed<TransportFields>
    if _fastPath(
      nextHeader == IPProtocol.tcp.rawValue || nextHeader == IPProtocol.udp.rawValue)
    {
      parsed = transport(
        frame, at: offset &+ 40, bytes: payloadBytes, ipProtocol: nextHeader,
        ipBytes: payloadBytes &+ 40)
    } else {
      parsed = behindExtensions(frame, at: offset &+ 40, end: end, first: nextHeader, offset)
    }
    guard let transport = parsed.fields else { return Parsed(drop: parsed.reason) }
    return Parsed(
      IPv6Fields(
        sourceHigh: frame.uint64(at: offset &+ 8), sourceLow: frame.uint64(at: offset &+ 16),
        destinationHigh: frame.uint64(at: offset &+ 24),
        destinationLow: frame.uint64(at: offset &+ 32), transport: transport))
  }

  @inline(never)
  private static func behindExtensions(
    _ frame: RawSpan, at start: Int, end: Int, first: UInt8, _ networkOffset: Int
  ) -> Parsed<TransportFields> {
    let parsed = upperLayer(frame, at: start, end: end, first: first)
    guard let upper = parsed.fields else { return Parsed(drop: parsed.reason) }
    if upper.header == fragmentHeader { return Parsed(drop: .fragmentUnmatched) }
    return transport(
      frame, at: upper.offset, bytes: end - upper.offset, ipProtocol: upper.header,
      ipBytes: end - networkOffset)
  }

  /// The first header of an IPv6 packet that is neither hop-by-hop, routing nor destination
  /// options (RFC 8200 §4).
  static func upperLayer(
    _ frame: RawSpan, at start: Int, end: Int, first: UInt8
  ) -> Parsed<UpperLayer> {
    var offset = start
    var header = first
    for _ in 0...maximumExtensionHeaders {
      guard header == 0 || header == 43 || header == 60 else {
        return Parsed(UpperLayer(header: header, offset: offset))
      }
      guard end - offset >= 8 else { return Parsed(drop: .truncated) }
      header = frame.uint8(at: offset)
      offset += (Int(frame.uint8(at: offset + 1)) + 1) * 8
    }
    return Parsed(drop: .badHeader)
  }

  /// Ports and event of a TCP (RFC 9293) or UDP (RFC 768) header of which `bytes` are there.
  @inline(__always)
  static func transport(
    _ frame: RawSpan, at offset: Int, bytes: Int, ipProtocol: UInt8, ipBytes: Int
  ) -> Parsed<TransportFields> {
    let event: ConnectionEvent
    if _fastPath(ipProtocol == IPProtocol.tcp.rawValue) {
      guard _fastPath(bytes >= 20) else { return Parsed(drop: .truncated) }
      event = .tcp(flags: frame.uint8(at: offset &+ 13))
    } else if ipProtocol == IPProtocol.udp.rawValue {
      guard bytes >= 8 else { return Parsed(drop: .truncated) }
      event = .datagram
    } else {
      let isKnown =
        ipProtocol == IPProtocol.icmp.rawValue || ipProtocol == IPProtocol.icmpv6.rawValue
        || ipProtocol == IPProtocol.sctp.rawValue
      return Parsed(drop: isKnown ? .icmpUnmatched : .unknownProtocol)
    }
    return Parsed(
      TransportFields(
        ports: frame.uint32(at: offset), ipProtocol: ipProtocol, event: event, ipBytes: ipBytes))
  }
}
