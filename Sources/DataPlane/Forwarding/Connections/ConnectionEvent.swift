// SPDX-License-Identifier: Apache-2.0

/// What a packet means to the state of its connection: the RST, SYN, FIN and ACK bits of a TCP
/// segment as they lie in its flags octet (RFC 9293 §3.1), a datagram, or a chunk of SCTP.
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
  /// PSH, which no TCP event carries and every other one does.
  private static let otherBit: UInt8 = 0x08
  public static let datagram = ConnectionEvent(rawValue: otherBit)

  /// The chunks that count, RFC 9260 §3.2: `sctp_events` of the kernel's ip_vs_proto_sctp.c. The
  /// raw value is the event's, of which INIT alone reads as a SYN.
  public enum Chunk: UInt8, CaseIterable, Sendable {
    /// Also SACK, heartbeats, ECN and types that are not of the RFC.
    case data = 0x09
    case initiation = 0x0a
    case initiationAck = 0x0c
    case abort = 0x0d
    case shutdown = 0x0e
    case shutdownAck = 0x0f
    case error = 0x18
    case cookieEcho = 0x19
    case cookieAck = 0x1c
    case shutdownComplete = 0x1d
  }

  @inline(__always) public static func sctp(_ chunk: Chunk) -> ConnectionEvent {
    ConnectionEvent(rawValue: chunk.rawValue)
  }

  /// nil for what is not SCTP.
  public var chunk: Chunk? { Chunk(rawValue: rawValue) }

  /// The event of a TCP flags octet.
  @inline(__always) public static func tcp(flags: UInt8) -> ConnectionEvent {
    ConnectionEvent(rawValue: flags & (finBit | synBit | rstBit | ackBit))
  }

  /// Every event there is; raw values lie below `limit`.
  static let all = (0..<limit).map(ConnectionEvent.init).filter {
    $0 == .datagram || $0 == .tcp(flags: $0.rawValue) || $0.chunk != nil
  }
  static let limit: UInt8 = 0x20

  /// The flag that counts, or nil for other packets and for a segment without any of the four:
  /// priority RST > SYN > FIN > ACK as `tcp_state_idx` in the kernel's ip_vs_proto_tcp.c.
  public var decidingFlag: Flag? {
    if rawValue & Self.otherBit != 0 { return nil }
    if rawValue & Self.rstBit != 0 { return .rst }
    if rawValue & Self.synBit != 0 { return .syn }
    if rawValue & Self.finBit != 0 { return .fin }
    return rawValue & Self.ackBit != 0 ? .ack : nil
  }

  /// The rows of the kernel's state table.
  public enum Flag: Int, Sendable {
    case syn, fin, ack, rst
  }

  /// A datagram, a segment whose SYN counts, an INIT: what LVS schedules by default (`sloppy_tcp`
  /// and `sloppy_sctp` off).
  @inline(__always) var opensConnection: Bool { Self.opening &>> UInt32(rawValue) & 1 != 0 }

  /// A bit for each event that does: `.datagram` and those of which `isSYN` is true.
  private static let opening: UInt32 = 0x0c0c_0d0c

  /// A segment whose RST counts, an ABORT.
  var isReset: Bool {
    rawValue & (Self.otherBit | Self.rstBit) == Self.rstBit || self == .sctp(.abort)
  }

  /// Also an INIT: `is_new_conn`.
  @inline(__always) var isSYN: Bool { rawValue & (Self.synBit | Self.rstBit) == Self.synBit }
}
