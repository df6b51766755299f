// SPDX-License-Identifier: Apache-2.0

/// What a packet means to the state of its connection: the RST, SYN, FIN and ACK bits of a TCP
/// segment as they lie in its flags octet (RFC 9293 §3.1), or a datagram.
///
/// The bits themselves are the event, so that the packet loop decodes nothing; which of them counts
/// is decided once, when the transition table is filled.
public struct ConnectionEvent: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt8
  @inline(__always) public init(rawValue: UInt8) { self.rawValue = rawValue }

  private static let finBit: UInt8 = 0x01
  private static let synBit: UInt8 = 0x02
  private static let rstBit: UInt8 = 0x04
  private static let ackBit: UInt8 = 0x10
  /// PSH, which no TCP event carries.
  public static let datagram = ConnectionEvent(rawValue: 0x08)

  /// The event of a TCP flags octet.
  @inline(__always) public static func tcp(flags: UInt8) -> ConnectionEvent {
    ConnectionEvent(rawValue: flags & (finBit | synBit | rstBit | ackBit))
  }

  /// Every event there is; raw values lie below `limit`.
  static let all = (0..<limit).map(ConnectionEvent.init).filter {
    $0 == .datagram || $0 == .tcp(flags: $0.rawValue)
  }
  static let limit: UInt8 = 0x18

  /// The flag that counts, or nil for a datagram and for a segment without any of the four:
  /// priority RST > SYN > FIN > ACK as `tcp_state_idx` in the kernel's ip_vs_proto_tcp.c.
  public var decidingFlag: Flag? {
    if self == .datagram { return nil }
    if rawValue & Self.rstBit != 0 { return .rst }
    if rawValue & Self.synBit != 0 { return .syn }
    if rawValue & Self.finBit != 0 { return .fin }
    return rawValue & Self.ackBit != 0 ? .ack : nil
  }

  /// The rows of the kernel's state table.
  public enum Flag: Int, Sendable {
    case syn, fin, ack, rst
  }

  /// A datagram or a segment whose SYN counts: what LVS schedules by default (`sloppy_tcp` off).
  @inline(__always) var opensConnection: Bool { self == .datagram || isSYN }

  var isReset: Bool { self != .datagram && rawValue & Self.rstBit != 0 }

  @inline(__always) var isSYN: Bool { rawValue & (Self.synBit | Self.rstBit) == Self.synBit }
}
