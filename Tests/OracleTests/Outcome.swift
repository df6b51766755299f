// SPDX-License-Identifier: Apache-2.0
import TestSupport

/// What a director did with one frame, as seen on the cable.
enum Outcome: Equatable, CustomStringConvertible {
  /// Sent to the real server with this last number, so much taken from its TTL, nothing else
  /// changed behind the MAC addresses.
  case forwarded(to: UInt8, hops: Int)
  /// The director's own stack answered as the VIP.
  case reset
  case portUnreachable
  case timeExceeded
  case nothing
  case other([[UInt8]])

  /// - Parameter answers: all that the director sent before it came to the next frame.
  init(of request: [UInt8], _ answers: [[UInt8]]) {
    guard let answer = answers.first else {
      self = .nothing
      return
    }
    self = answers.count == 1 ? Self.meaning(of: answer, to: request) : .other(answers)
  }

  private static func meaning(of answer: [UInt8], to request: [UInt8]) -> Outcome {
    let ip = Array(answer.dropFirst(14))
    if let sent = packet(request), sent == packet(answer),
      answer[6..<12] == Wire.directorMAC.octets[...]
    {
      return .forwarded(to: answer[5], hops: Int(request[14 + 8]) - Int(ip[8]))
    }
    guard ip.count >= 40 else { return .other([answer]) }
    let isFromVIP = ip[12..<16].elementsEqual(request[30..<34])
    let isToClient = ip[16..<20].elementsEqual(request[26..<30])
    switch (ip[9], ip[20], ip[21]) {
    case (1, 3, 3) where isToClient: return .portUnreachable
    case (1, 11, 0) where isToClient: return .timeExceeded
    case (6, _, _) where isFromVIP && isToClient && ip[33] & 0x04 != 0: return .reset
    default: return .other([answer])
    }
  }

  /// The IP packet of a frame without Ethernet's padding, TTL and header checksum, which must be
  /// right.
  private static func packet(_ frame: [UInt8]) -> [UInt8]? {
    let headerBytes = Int(frame[14] & 0xf) * 4
    let length = Int(frame[16]) << 8 | Int(frame[17])
    guard frame.count >= 14 + length, length >= headerBytes else { return nil }
    var packet = Array(frame[14..<14 + length])
    guard internetChecksum(Array(packet[..<headerBytes])) == 0 else { return nil }
    packet[8] = 0
    packet.replaceSubrange(10..<12, with: [0, 0])
    return packet
  }

  /// Whether the frame went the same way, whatever became of the TTL.
  func isSame(as other: Outcome) -> Bool {
    if case (.forwarded(let left, _), .forwarded(let right, _)) = (self, other) {
      return left == right
    }
    return self == other
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
