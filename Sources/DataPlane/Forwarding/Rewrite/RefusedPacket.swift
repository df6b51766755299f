// SPDX-License-Identifier: Apache-2.0

/// A packet that is not forwarded, in whose own frame its sender is told so: addresses exchanged,
/// sent from the VIP, as the kernel does for a local destination.
///
/// The packet was parsed before: its headers are whole.
struct RefusedPacket: BitwiseCopyable {
  /// XDP_UMEM_MIN_CHUNK_SIZE (net/xdp/xdp_umem.c): no frame is smaller, and frames begin at its
  /// multiples, so what ends before the next multiple ends in the frame.
  private static let smallestChunkBytes: UInt64 = 2048
  private static let timeToLive: UInt8 = 64

  let frame: UnsafeMutableRawPointer
  private let frameBytes: Int
  /// Octets from the frame's start that an answer may take.
  let room: Int
  /// Of the network header.
  let offset: Int
  let isIPv6: Bool

  /// nil if the frame has no network header, or no single host sent it.
  init?(_ frame: UnsafeMutableRawPointer, _ descriptor: FrameDescriptor) {
    let length = Int(truncatingIfNeeded: descriptor.length)
    let bytes = UnsafeRawBufferPointer(start: frame, count: length).bytes
    guard let (offset, type) = PacketParser.networkHeader(bytes) else { return nil }
    isIPv6 = type == .ipv6
    guard
      bytes.uint8(at: 6) & 1 == 0,
      isIPv6 ? Self.isOneIPv6Host(bytes, at: offset) : Self.isOneIPv4Host(bytes, at: offset)
    else { return nil }
    self.frame = frame
    self.offset = offset
    frameBytes = length
    let into = descriptor.address % Self.smallestChunkBytes
    room = Int(truncatingIfNeeded: Self.smallestChunkBytes &- into)
  }

  /// RFC 1122 §3.2.2: no error goes to an address that is no single host's.
  private static func isOneIPv4Host(_ bytes: RawSpan, at offset: Int) -> Bool {
    let network = bytes.uint8(at: offset + 12)
    return network != 0 && network != 127 && network < 224
  }

  /// RFC 4443 §2.4 (e.6): nor to a multicast or the unspecified address; nor to loopback.
  private static func isOneIPv6Host(_ bytes: RawSpan, at offset: Int) -> Bool {
    let (high, low) = (bytes.uint64(at: offset + 8), bytes.uint64(at: offset + 16))
    return high &>> 56 != 0xff && !(high == 0 && low <= 1)
  }

  var octets: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: frame, count: frameBytes) }
  var packet: UnsafeMutableRawPointer { frame + offset }

  /// From the IP header to the end of the IP packet.
  var packetBytes: Int {
    isIPv6 ? 40 + Int(packet.uint16(at: 4)) : Int(packet.uint16(at: 2))
  }

  /// The header behind IPv4's options or IPv6's extension headers; nil in a fragment.
  var upperLayer: UpperLayer? {
    guard isIPv6 else {
      let isFragment = packet.uint16(at: 6) & 0x3fff != 0
      let headerBytes = Int(packet.uint8(at: 0) & 15) * 4
      let header = packet.uint8(at: 9)
      return isFragment ? nil : UpperLayer(header: header, offset: offset + headerBytes)
    }
    guard let upper = behindExtensions, upper.header != PacketParser.fragmentHeader else {
      return nil
    }
    return upper
  }

  /// Whether it is a fragment that does not begin its datagram.
  var isLaterFragment: Bool {
    guard isIPv6 else { return packet.uint16(at: 6) & 0x1fff != 0 }
    guard let upper = behindExtensions, upper.header == PacketParser.fragmentHeader else {
      return false
    }
    let fragment = PacketParser.ipv6Fragment(
      octets.bytes, upper, network: offset, end: offset + packetBytes)
    return fragment?.offset != 0
  }

  /// Of IPv6: the upper layer, or the fragment header.
  private var behindExtensions: UpperLayer? {
    PacketParser.upperLayer(
      octets.bytes, at: offset + 40, end: offset + packetBytes, first: packet.uint8(at: 6)
    ).fields
  }

  /// Makes the answer in the frame.
  ///
  /// - Parameter mtu: of `.packetTooBig`, what it tells.
  /// - Returns: its octets from the frame's start; nil, the frame untouched, if none may be sent.
  func make(_ answer: Answer, mtu: UInt16) -> Int? {
    switch answer {
    case .portUnreachable: makeICMPError(.portUnreachable)
    case .timeExceeded: makeICMPError(.timeExceeded)
    case .reset: makeReset()
    case .packetTooBig: makeICMPError(.packetTooBig, mtu: mtu)
    }
  }

  /// Writes the answer's Ethernet and network headers; the packet's own is its model.
  ///
  /// - Parameter bytes: of the answer's IP payload.
  func writeHeaders(_ ipProtocol: IPProtocol, bytes: Int, typeOfService: UInt8 = 0) {
    let lastOctets = UInt16(Self.timeToLive)
    if isIPv6 {
      packet.store(uint16: 0x6000, at: 0)
      packet.store(uint16: 0, at: 2)
      packet.store(uint16: UInt16(truncatingIfNeeded: bytes), at: 4)
      packet.store(uint16: UInt16(ipProtocol.rawValue) &<< 8 | lastOctets, at: 6)
      exchange(packet + 8, packet + 24, 16)
    } else {
      packet.store(uint16: 0x4500 | UInt16(typeOfService), at: 0)
      packet.store(uint16: UInt16(truncatingIfNeeded: 20 + bytes), at: 2)
      // Not to be fragmented and therefore without identification, RFC 6864 §4.1.
      packet.store(uint16: 0, at: 4)
      packet.store(uint16: 0x4000, at: 6)
      packet.store(uint16: lastOctets &<< 8 | UInt16(ipProtocol.rawValue), at: 8)
      packet.store(uint16: 0, at: 10)
      exchange(packet + 12, packet + 16, 4)
      var header = InternetChecksum()
      header.add(packet, count: 20)
      packet.store(uint16: header.value, at: 10)
    }
    exchange(frame, frame + 6, 6)
  }

  /// The sum over the pseudo header of `bytes` octets of TCP or ICMPv6: RFC 9293 §3.1, RFC 8200
  /// §8.1.
  func pseudoHeader(_ ipProtocol: IPProtocol, bytes: Int) -> InternetChecksum {
    var checksum = InternetChecksum()
    checksum.add(packet + (isIPv6 ? 8 : 12), count: isIPv6 ? 32 : 8)
    checksum.add(UInt16(truncatingIfNeeded: bytes))
    checksum.add(UInt16(ipProtocol.rawValue))
    return checksum
  }

  private func exchange(
    _ left: UnsafeMutableRawPointer, _ right: UnsafeMutableRawPointer, _ count: Int
  ) {
    for offset in 0..<count {
      let octet = left.uint8(at: offset)
      left.store(uint8: right.uint8(at: offset), at: offset)
      right.store(uint8: octet, at: offset)
    }
  }
}

/// How many answers a worker may give: 1000 a second and 50 at once, the kernel's
/// `net.ipv4.icmp_msgs_per_sec` and `icmp_msgs_burst`.
struct AnswerAllowance: BitwiseCopyable {
  private static let burst: Int32 = 50
  private var left = burst
  private var lastTurn: Tick

  init(lastTurn: Tick) { self.lastTurn = lastTurn }

  /// Whether one more may go now.
  mutating func take(now: Tick) -> Bool {
    let elapsed = now.milliseconds(since: lastTurn)
    if elapsed != 0 {
      // A tick that has wrapped past half its range counts as long ago.
      left = elapsed < 0 || elapsed > Self.burst ? Self.burst : min(Self.burst, left &+ elapsed)
      lastTurn = now
    }
    guard left > 0 else { return false }
    left &-= 1
    return true
  }
}
