// SPDX-License-Identifier: Apache-2.0
import TestSupport

/// What a director did with one frame, as seen on the cable.
enum Outcome: Equatable, CustomStringConvertible {
  /// Sent to the real server with this last number, so much taken from its TTL or hop limit,
  /// nothing else changed behind the MAC addresses.
  case forwarded(to: UInt8, hops: Int)
  /// The director's own stack answered as the VIP.
  case reset
  case portUnreachable
  case timeExceeded
  case nothing
  case other([[UInt8]])

  /// - Parameters:
  ///   - request: a packet's frame, or its fragments.
  ///   - answers: all that the director sent before it came to the next packet.
  init(of request: [[UInt8]], _ answers: [[UInt8]]) {
    guard let answer = answers.first else {
      self = .nothing
      return
    }
    self =
      Self.meaning(ofFragments: answers, to: request)
      ?? (answers.count == 1 ? Self.meaning(of: answer, to: request[0]) : .other(answers))
  }

  /// A datagram forwarded in fragments: its whole content to one real server, cut and ordered
  /// somehow, for a director that reassembles fragments cuts anew.
  private static func meaning(ofFragments answers: [[UInt8]], to request: [[UInt8]]) -> Outcome? {
    let (sent, came) = (request.compactMap(IPPacket.init), answers.compactMap(IPPacket.init))
    guard request.count > 1, came.count == answers.count, Set(came.map(\.hops)).count == 1,
      Set(answers.map { $0[..<12] }).count == 1,
      answers[0][6..<12] == Wire.directorMAC.octets[...],
      let datagram = IPPacket.datagram(sent), datagram == IPPacket.datagram(came)
    else { return nil }
    return .forwarded(to: answers[0][5], hops: Int(sent[0].hops) - Int(came[0].hops))
  }

  private static func meaning(of answer: [UInt8], to request: [UInt8]) -> Outcome {
    guard let sent = IPPacket(request), let came = IPPacket(answer) else { return .other([answer]) }
    if sent.withoutHops == came.withoutHops, answer[6..<12] == Wire.directorMAC.octets[...] {
      return .forwarded(to: answer[5], hops: Int(sent.hops) - Int(came.hops))
    }
    guard came.destination == sent.source, came.payload.count >= 20 else { return .other([answer]) }
    switch (came.ipProtocol, came.payload[0], came.payload[1]) {
    case (1, 3, 3), (58, 1, 4): return .portUnreachable
    case (1, 11, 0), (58, 3, 0): return .timeExceeded
    case (6, _, _) where came.source == sent.destination && came.payload[13] & 0x04 != 0:
      return .reset
    default: return .other([answer])
    }
  }

  /// Whether the frame went the same way, whatever became of the TTL.
  func isSame(as other: Outcome) -> Bool {
    if case (.forwarded(let left, _), .forwarded(let right, _)) = (self, other) {
      return left == right
    }
    return self == other
  }

  /// The last number of the real server it went to.
  var realServer: Int? {
    if case .forwarded(let number, _) = self { Int(number) } else { nil }
  }

  var description: String {
    switch self {
    case .forwarded(let realServer, let hops): "to .\(realServer), TTL -\(hops)"
    case .reset: "reset"
    case .portUnreachable: "port unreachable"
    case .timeExceeded: "time exceeded"
    case .nothing: "nothing"
    case .other(let frames): "other: \(frames)"
    }
  }
}

/// The IP packet of an untagged frame, without Ethernet's padding.
struct IPPacket {
  let octets: [UInt8]
  private let headerBytes: Int
  private var isIPv6: Bool { octets[0] >> 4 == 6 }

  /// nil unless the lengths are in order and, of IPv4, the header's checksum is right.
  init?(_ frame: [UInt8]) {
    guard frame.count >= 14 + 20 else { return nil }
    let isIPv6 = frame[14] >> 4 == 6
    headerBytes = isIPv6 ? 40 : Int(frame[14] & 0xf) * 4
    let field = isIPv6 ? 18 : 16
    let length = Int(frame[field]) << 8 | Int(frame[field + 1])
    let packetBytes = isIPv6 ? 40 + length : length
    guard packetBytes >= headerBytes, frame.count >= 14 + packetBytes else { return nil }
    octets = Array(frame[14..<14 + packetBytes])
    guard isIPv6 || internetChecksum(Array(octets[..<headerBytes])) == 0 else { return nil }
  }

  var hops: UInt8 { octets[isIPv6 ? 7 : 8] }
  /// Of IPv6 the type of the first header behind the fixed one.
  var ipProtocol: UInt8 { octets[isIPv6 ? 6 : 9] }
  var source: [UInt8] { Array(isIPv6 ? octets[8..<24] : octets[12..<16]) }
  var destination: [UInt8] { Array(isIPv6 ? octets[24..<40] : octets[16..<20]) }
  var payload: [UInt8] { Array(octets[headerBytes...]) }

  /// Addresses and payload of a datagram from its fragments in any order (RFC 791 §3.2, RFC 8200
  /// §4.5); nil unless they make up one datagram without gap or overlap.
  static func datagram(_ fragments: [IPPacket]) -> [UInt8]? {
    var datagram: [UInt8] = []
    var isLast = false
    for fragment in fragments.sorted(by: { $0.fragmentOffset < $1.fragmentOffset }) {
      if datagram.isEmpty { datagram = fragment.source + fragment.destination }
      let addressBytes = fragment.source.count * 2
      guard !isLast, fragment.fragmentOffset == datagram.count - addressBytes,
        datagram.starts(with: fragment.source + fragment.destination)
      else { return nil }
      isLast = !fragment.hasMoreFragments
      datagram += fragment.isIPv6 ? fragment.payload.dropFirst(8) : fragment.payload[...]
    }
    return isLast ? datagram : nil
  }

  /// In octets.
  private var fragmentOffset: Int {
    guard isIPv6 else { return (Int(octets[6] & 0x1f) << 8 | Int(octets[7])) * 8 }
    return ipProtocol == 44 ? Int(payload[2]) << 8 | Int(payload[3] & 0xf8) : 0
  }

  private var hasMoreFragments: Bool {
    isIPv6 ? ipProtocol == 44 && payload[3] & 1 != 0 : octets[6] & 0x20 != 0
  }

  /// What a router does not change.
  var withoutHops: [UInt8] {
    var octets = octets
    octets.replaceSubrange(isIPv6 ? 7..<8 : 8..<9, with: [0])
    if !isIPv6 { octets.replaceSubrange(10..<12, with: [0, 0]) }
    return octets
  }
}
