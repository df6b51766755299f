// SPDX-License-Identifier: Apache-2.0

/// Source and destination of an IPv6 packet.
struct IPv6Pair: BitwiseCopyable {
  var sourceHigh: UInt64
  var sourceLow: UInt64
  var destinationHigh: UInt64
  var destinationLow: UInt64

  /// `offset` is where a whole IPv6 header starts.
  init(_ frame: RawSpan, at offset: Int) {
    sourceHigh = frame.uint64(at: offset &+ 8)
    sourceLow = frame.uint64(at: offset &+ 16)
    destinationHigh = frame.uint64(at: offset &+ 24)
    destinationLow = frame.uint64(at: offset &+ 32)
  }
}

/// Where a fragment belongs: RFC 791 §3.1, RFC 8200 §4.5.
struct FragmentFields: BitwiseCopyable {
  var identification: UInt32
  var ipProtocol: UInt8
  /// Distance from the datagram's first octet, in units of eight octets.
  var offset: UInt16
  var hasMore: Bool
  /// Where in the frame its part of the datagram starts, and how many octets it has.
  var payloadOffset: Int
  var payloadBytes: Int
  /// As `TransportFields.ipBytes`.
  var ipBytes: UInt16

  /// Whether the datagram's protocol is one that services have.
  var isOfService: Bool {
    IPProtocol(rawValue: ipProtocol).hasServices
  }

  /// A TCP fragment that starts inside the header, RFC 3128.
  var hitsTransportHeader: Bool { ipProtocol == IPProtocol.tcp.rawValue && offset <= 2 }
}

/// An ICMP error and the packet that it quotes, as if that had come the other way: the source is
/// the client, the destination the VIP. The quoted packet's event and length are the error's own.
struct ICMPError<Fields: BitwiseCopyable>: BitwiseCopyable {
  var kind: SideTraffic
  var reversed: Fields
}

/// Packets that name no ports. Their network headers have been looked at already: what is checked
/// again here costs little and keeps every read guarded.
extension PacketParser {
  /// The fragment at `offset`, or nil if the packet is whole.
  static func ipv4Fragment(_ frame: RawSpan, at offset: Int) -> FragmentFields? {
    let field = frame.uint16(at: offset + 6)
    guard field & 0x3fff != 0 else { return nil }
    let headerBytes = Int(frame.uint8(at: offset) & 15) * 4
    let ipBytes = frame.uint16(at: offset + 2)
    return FragmentFields(
      identification: UInt32(frame.uint16(at: offset + 4)),
      ipProtocol: frame.uint8(at: offset + 9), offset: field & 0x1fff,
      hasMore: field & 0x2000 != 0, payloadOffset: offset + headerBytes,
      payloadBytes: Int(ipBytes) - headerBytes, ipBytes: ipBytes)
  }

  /// The fragment whose fragment header is `upper`, in a packet that ends at `end`.
  static func ipv6Fragment(
    _ frame: RawSpan, _ upper: UpperLayer, network: Int, end: Int
  ) -> FragmentFields? {
    guard end - upper.offset >= 8 else { return nil }
    let field = frame.uint16(at: upper.offset + 2)
    return FragmentFields(
      identification: frame.uint32(at: upper.offset + 4),
      ipProtocol: frame.uint8(at: upper.offset), offset: field &>> 3, hasMore: field & 1 != 0,
      payloadOffset: upper.offset + 8, payloadBytes: end - upper.offset - 8,
      ipBytes: UInt16(truncatingIfNeeded: end - network))
  }

  /// RFC 792: type, code, checksum, a word, then the header of the packet in error and at least
  /// eight octets behind it. `offset` is where the IP header of a whole packet starts.
  static func ipv4Error(_ frame: RawSpan, at offset: Int) -> Parsed<ICMPError<IPv4Fields>> {
    let end = offset + Int(frame.uint16(at: offset + 2))
    let header = offset + Int(frame.uint8(at: offset) & 15) * 4
    guard frame.uint8(at: offset + 9) == IPProtocol.icmp.rawValue else {
      return Parsed(drop: .unknownProtocol)
    }
    guard end - header >= 8 else { return Parsed(drop: .truncated) }
    guard let kind = ipv4Kind(type: frame.uint8(at: header), code: frame.uint8(at: header + 1))
    else { return Parsed(drop: .unknownProtocol) }
    let quoted = header + 8
    guard end - quoted >= 20 else { return Parsed(drop: .truncated) }
    let versionAndLength = frame.uint8(at: quoted)
    let quotedBytes = Int(versionAndLength & 15) * 4
    guard versionAndLength >> 4 == 4, quotedBytes >= 20 else { return Parsed(drop: .badHeader) }
    guard end - quoted >= quotedBytes + 8 else { return Parsed(drop: .truncated) }
    let source = frame.uint32(at: quoted + 12)
    // A later fragment has no ports; and an error goes to the source of what it quotes, RFC 792.
    guard frame.uint16(at: quoted + 6) & 0x1fff == 0, source == frame.uint32(at: offset + 16)
    else { return Parsed(drop: .icmpUnmatched) }
    return Parsed(
      ICMPError(
        kind: kind,
        reversed: IPv4Fields(
          source: frame.uint32(at: quoted + 16), destination: source,
          transport: reversedPorts(
            frame, at: quoted + quotedBytes, ipProtocol: frame.uint8(at: quoted + 9),
            ipBytes: end - offset))))
  }

  /// RFC 4443 §2.4: as `ipv4Error`; the ICMP header is `upper` and the packet ends at `end`.
  static func ipv6Error(
    _ frame: RawSpan, _ upper: UpperLayer, network: Int, end: Int
  ) -> Parsed<ICMPError<IPv6Fields>> {
    let quoted = upper.offset + 8
    guard end >= quoted else { return Parsed(drop: .truncated) }
    guard let kind = ipv6Kind(type: frame.uint8(at: upper.offset)) else {
      return Parsed(drop: .unknownProtocol)
    }
    guard end - quoted >= 40 else { return Parsed(drop: .truncated) }
    guard frame.uint8(at: quoted) >> 4 == 6 else { return Parsed(drop: .badHeader) }
    let outer = IPv6Pair(frame, at: network)
    let inner = IPv6Pair(frame, at: quoted)
    let behind = upperLayer(
      frame, at: quoted + 40, end: end, first: frame.uint8(at: quoted + 6))
    guard var transport = behind.fields else { return Parsed(drop: behind.reason) }
    if transport.header == fragmentHeader {
      guard end - transport.offset >= 8 else { return Parsed(drop: .truncated) }
      guard frame.uint16(at: transport.offset + 2) &>> 3 == 0 else {
        return Parsed(drop: .icmpUnmatched)
      }
      transport = UpperLayer(
        header: frame.uint8(at: transport.offset), offset: transport.offset + 8)
    }
    guard end - transport.offset >= 8 else { return Parsed(drop: .truncated) }
    guard
      inner.sourceHigh == outer.destinationHigh, inner.sourceLow == outer.destinationLow
    else { return Parsed(drop: .icmpUnmatched) }
    return Parsed(
      ICMPError(
        kind: kind,
        reversed: IPv6Fields(
          sourceHigh: inner.destinationHigh, sourceLow: inner.destinationLow,
          destinationHigh: inner.sourceHigh, destinationLow: inner.sourceLow,
          transport: reversedPorts(
            frame, at: transport.offset, ipProtocol: transport.header, ipBytes: end - network))))
  }

  /// Ports of the quoted packet, exchanged. Any protocol will do: one without services has none.
  private static func reversedPorts(
    _ frame: RawSpan, at offset: Int, ipProtocol: UInt8, ipBytes: Int
  ) -> TransportFields {
    TransportFields(
      sourcePort: frame.uint16(at: offset + 2), destinationPort: frame.uint16(at: offset),
      ipProtocol: ipProtocol, event: .datagram, ipBytes: UInt16(truncatingIfNeeded: ipBytes))
  }

  private static func ipv4Kind(type: UInt8, code: UInt8) -> SideTraffic? {
    switch type {
    case 3: code == 4 ? .icmpFragmentationNeeded : .icmpUnreachable
    case 4: .icmpSourceQuench
    case 11: .icmpTimeExceeded
    case 12: .icmpParameterProblem
    default: nil
    }
  }

  private static func ipv6Kind(type: UInt8) -> SideTraffic? {
    switch type {
    case 1: .icmpv6Unreachable
    case 2: .icmpv6PacketTooBig
    case 3: .icmpv6TimeExceeded
    case 4: .icmpv6ParameterProblem
    case 0, 5..<128: .icmpv6Other
    default: nil
    }
  }
}
