// SPDX-License-Identifier: Apache-2.0

/// Makes ICMP port unreachable out of the packet that could not be served, in the packet's own
/// frame: addresses exchanged, the packet moved back and quoted.
///
/// Sent from the VIP, as the kernel's `icmp_send` does for a local destination.
struct PortUnreachable {
  /// XDP_UMEM_MIN_CHUNK_SIZE (net/xdp/xdp_umem.c): no frame is smaller, and frames begin at its
  /// multiples, so what ends before the next multiple ends in the frame.
  private static let smallestChunkBytes: UInt64 = 2048
  /// RFC 1812 §4.3.2.3 and RFC 4443 §2.4 (c): the longest error.
  private static let ipv4Bytes = 576
  private static let ipv6Bytes = 1280
  /// IPv4 header with ICMP header; the same for IPv6.
  private static let ipv4HeaderBytes = 28
  private static let ipv6HeaderBytes = 48
  private static let timeToLive: UInt8 = 64

  /// Octets of the answer, made at `frame`, or nil, the frame untouched, if none may be sent.
  ///
  /// - Parameters:
  ///   - bytes: the frame, its network header at `offset` and found good before.
  ///   - address: of the frame in the UMEM.
  static func make(
    _ bytes: RawSpan, _ frame: UnsafeMutableRawPointer, address: UInt64, at offset: Int,
    isIPv6: Bool
  ) -> Int? {
    let packetBytes =
      isIPv6
      ? 40 + Int(bytes.uint16(at: offset + 4)) : Int(bytes.uint16(at: offset + 2))
    let headerBytes = isIPv6 ? ipv6HeaderBytes : ipv4HeaderBytes
    let answerBytes = min(headerBytes + packetBytes, isIPv6 ? ipv6Bytes : ipv4Bytes)
    let room = smallestChunkBytes - address % smallestChunkBytes
    guard
      bytes.uint8(at: 6) & 1 == 0, UInt64(offset + answerBytes) <= room,
      isIPv6 ? ipv6IsAnswerable(bytes, at: offset) : ipv4IsAnswerable(bytes, at: offset)
    else { return nil }
    let packet = frame + offset
    let quotedBytes = answerBytes - headerBytes
    (packet + headerBytes).copyMemory(from: packet, byteCount: quotedBytes)
    if isIPv6 {
      writeIPv6(packet, answerBytes)
    } else {
      writeIPv4(packet, answerBytes)
    }
    exchange(frame, frame + 6, 6)
    return offset + answerBytes
  }

  /// RFC 1122 §3.2.2: no error goes to an address that is no single host's.
  private static func ipv4IsAnswerable(_ bytes: RawSpan, at offset: Int) -> Bool {
    let network = bytes.uint8(at: offset + 12)
    return network != 0 && network != 127 && network < 224
  }

  /// RFC 4443 §2.4 (e.6): nor to a multicast or the unspecified address; nor to loopback.
  private static func ipv6IsAnswerable(_ bytes: RawSpan, at offset: Int) -> Bool {
    let (high, low) = (bytes.uint64(at: offset + 8), bytes.uint64(at: offset + 16))
    return high &>> 56 != 0xff && !(high == 0 && low <= 1)
  }

  private static func writeIPv4(_ packet: UnsafeMutableRawPointer, _ answerBytes: Int) {
    // Type of service: internetwork control, RFC 1812 §4.3.2.5. Not to be fragmented and therefore
    // without identification, RFC 6864 §4.1.
    store(packet, 0, 0x45c0)
    store(packet, 2, UInt16(truncatingIfNeeded: answerBytes))
    store(packet, 4, 0)
    store(packet, 6, 0x4000)
    store(packet, 8, UInt16(timeToLive) &<< 8 | UInt16(IPProtocol.icmp.rawValue))
    store(packet, 10, 0)
    exchange(packet + 12, packet + 16, 4)
    var header = InternetChecksum()
    header.add(packet, count: 20)
    store(packet, 10, header.value)
    // Destination unreachable, port unreachable: RFC 792.
    store(packet, 20, 0x0303)
    store(packet, 22, 0)
    store(packet, 24, 0)
    store(packet, 26, 0)
    var message = InternetChecksum()
    message.add(packet + 20, count: answerBytes - 20)
    store(packet, 22, message.value)
  }

  private static func writeIPv6(_ packet: UnsafeMutableRawPointer, _ answerBytes: Int) {
    let messageBytes = UInt16(truncatingIfNeeded: answerBytes - 40)
    store(packet, 0, 0x6000)
    store(packet, 2, 0)
    store(packet, 4, messageBytes)
    store(packet, 6, UInt16(IPProtocol.icmpv6.rawValue) &<< 8 | UInt16(timeToLive))
    exchange(packet + 8, packet + 24, 16)
    // Destination unreachable, port unreachable: RFC 4443 §3.1.
    store(packet, 40, 0x0104)
    store(packet, 42, 0)
    store(packet, 44, 0)
    store(packet, 46, 0)
    var message = InternetChecksum()
    message.add(packet + 8, count: 32)
    message.add(messageBytes)
    message.add(UInt16(IPProtocol.icmpv6.rawValue))
    message.add(packet + 40, count: answerBytes - 40)
    store(packet, 42, message.value)
  }

  private static func store(_ base: UnsafeMutableRawPointer, _ offset: Int, _ value: UInt16) {
    base.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
  }

  private static func exchange(
    _ left: UnsafeMutableRawPointer, _ right: UnsafeMutableRawPointer, _ count: Int
  ) {
    for offset in 0..<count {
      let octet = left.load(fromByteOffset: offset, as: UInt8.self)
      left.storeBytes(
        of: right.load(fromByteOffset: offset, as: UInt8.self), toByteOffset: offset,
        as: UInt8.self)
      right.storeBytes(of: octet, toByteOffset: offset, as: UInt8.self)
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
