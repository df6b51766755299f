// SPDX-License-Identifier: Apache-2.0
import CProbe
import DataPlane

/// What the kernel hands to `LinkSockets`: unfragmented TCP and UDP to its ports, and echo replies
/// with such an identifier. Classic BPF from the network header on (linux/filter.h).
enum LinkFilter {
  static let ipv4: [sock_filter] = [
    load(octet: 9), skip(ifEqual: tcp, 3), skip(ifEqual: udp, 2), skip(ifEqual: icmp, 1),
    refuse,
    // A is the protocol, M[0] keeps it.
    sock_filter(code: UInt16(BPF_ST), jt: 0, jf: 0, k: 0),
    load(word: 6), jump(UInt16(BPF_JSET), 0x3fff, else: 1), refuse,
    headerLengthToX,
    sock_filter(code: UInt16(BPF_LD | BPF_MEM), jt: 0, jf: 0, k: 0),
    skip(ifEqual: icmp, 2),
    load(wordBehindX: 2), sock_filter(code: UInt16(BPF_JMP | BPF_JA), jt: 0, jf: 0, k: 4),
    load(octetBehindX: 0),
    skip(ifEqual: 0, 1), refuse,
    load(wordBehindX: 4),
    jump(UInt16(BPF_JGE), UInt32(LinkSockets.ports.lowerBound.rawValue), else: 1), accept, refuse,
  ]

  static let ipv6: [sock_filter] = [
    load(octet: 6), skip(ifEqual: tcp, 7), skip(ifEqual: udp, 6), skip(ifEqual: icmpv6, 1),
    refuse,
    load(octet: 40), jump(UInt16(BPF_JEQ), 129, else: 5), load(word: 44),
    sock_filter(code: UInt16(BPF_JMP | BPF_JA), jt: 0, jf: 0, k: 1),
    load(word: 42),
    jump(UInt16(BPF_JGE), UInt32(LinkSockets.ports.lowerBound.rawValue), else: 1), accept, refuse,
  ]

  private static let tcp = UInt32(IPProtocol.tcp.rawValue)
  private static let udp = UInt32(IPProtocol.udp.rawValue)
  private static let icmp = UInt32(IPProtocol.icmp.rawValue)
  private static let icmpv6 = UInt32(IPProtocol.icmpv6.rawValue)

  fileprivate static let refuse = sock_filter(code: UInt16(BPF_RET), jt: 0, jf: 0, k: 0)
  fileprivate static let accept = sock_filter(code: UInt16(BPF_RET), jt: 0, jf: 0, k: .max)

  /// Of an IPv4 header where the packet begins.
  fileprivate static let headerLengthToX = sock_filter(
    code: UInt16(BPF_LDX | BPF_B | BPF_MSH), jt: 0, jf: 0, k: 0)
  fileprivate static func load(octet offset: UInt32) -> sock_filter {
    sock_filter(code: UInt16(BPF_LD | BPF_B | BPF_ABS), jt: 0, jf: 0, k: offset)
  }

  fileprivate static func load(word offset: UInt32) -> sock_filter {
    sock_filter(code: UInt16(BPF_LD | BPF_H | BPF_ABS), jt: 0, jf: 0, k: offset)
  }

  fileprivate static func load(octetBehindX offset: UInt32) -> sock_filter {
    sock_filter(code: UInt16(BPF_LD | BPF_B | BPF_IND), jt: 0, jf: 0, k: offset)
  }

  fileprivate static func load(wordBehindX offset: UInt32) -> sock_filter {
    sock_filter(code: UInt16(BPF_LD | BPF_H | BPF_IND), jt: 0, jf: 0, k: offset)
  }

  /// Goes on with the next, or passes over `count` where it does not hold.
  fileprivate static func jump(_ test: UInt16, _ value: UInt32, else count: UInt8) -> sock_filter {
    sock_filter(code: UInt16(BPF_JMP) | test, jt: 0, jf: count, k: value)
  }

  /// Passes over `count` where A is `value`.
  fileprivate static func skip(ifEqual value: UInt32, _ count: UInt8) -> sock_filter {
    sock_filter(code: UInt16(BPF_JMP | BPF_JEQ), jt: count, jf: 0, k: value)
  }
}

/// What the kernel hands to `EchoSockets`: echo replies (RFC 792, RFC 4443 §4.2) with this
/// identifier, and errors that quote a request with it. A raw socket's packet begins with the IPv4
/// header, or behind the IPv6 header.
enum EchoFilter {
  static func ipv4(_ identifier: UInt16) -> [sock_filter] {
    [LinkFilter.headerLengthToX]
      + program(
        identifier, reply: 0, errors: (3, 11, 12), quoted: [(8, 0x45), (17, 1), (28, 8)],
        quotedIdentifier: 32, octet: LinkFilter.load(octetBehindX:),
        word: LinkFilter.load(wordBehindX:))
  }

  static func ipv6(_ identifier: UInt16) -> [sock_filter] {
    program(
      identifier, reply: 129, errors: (1, 3, 4), quoted: [(14, 58), (48, 128)],
      quotedIdentifier: 52, octet: LinkFilter.load(octet:), word: LinkFilter.load(word:))
  }

  /// - Parameters:
  ///   - reply, errors: types of messages.
  ///   - quoted: octets that an error has in these places: an echo request without options.
  ///   - octet, word: load from an offset in the message.
  private static func program(
    _ identifier: UInt16, reply: UInt32, errors: (UInt32, UInt32, UInt32),
    quoted: [(offset: UInt32, value: UInt32)], quotedIdentifier: UInt32,
    octet: (UInt32) -> sock_filter, word: (UInt32) -> sock_filter
  ) -> [sock_filter] {
    let equals = UInt16(BPF_JEQ)
    // From behind the last check of an error to the load for a reply, and to the refusal.
    let (toReply, toRefusal) = (UInt8(2), UInt8(5))
    let checks = UInt8(2 * quoted.count)
    var program = [
      octet(0), LinkFilter.skip(ifEqual: reply, 3 + checks + toReply),
      LinkFilter.skip(ifEqual: errors.0, 2), LinkFilter.skip(ifEqual: errors.1, 1),
      LinkFilter.jump(equals, errors.2, else: checks + toRefusal),
    ]
    for (place, check) in quoted.enumerated() {
      let left = checks - UInt8(2 * (place + 1))
      program += [
        octet(check.offset), LinkFilter.jump(equals, check.value, else: left + toRefusal),
      ]
    }
    return program + [
      word(quotedIdentifier), sock_filter(code: UInt16(BPF_JMP | BPF_JA), jt: 0, jf: 0, k: 1),
      word(4), LinkFilter.jump(equals, UInt32(identifier), else: 1), LinkFilter.accept,
      LinkFilter.refuse,
    ]
  }
}
