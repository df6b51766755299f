// SPDX-License-Identifier: Apache-2.0

/// What a packet means to the state of its connection.
///
/// Priority RST > SYN > FIN > ACK as `tcp_state_idx` in the kernel's ip_vs_proto_tcp.c; the first
/// four raw values are its rows.
public struct ConnectionEvent: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt8
  @inline(__always) public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let syn = ConnectionEvent(rawValue: 0)
  public static let fin = ConnectionEvent(rawValue: 1)
  public static let ack = ConnectionEvent(rawValue: 2)
  public static let rst = ConnectionEvent(rawValue: 3)
  /// A TCP segment with none of the four flags.
  public static let nothing = ConnectionEvent(rawValue: 4)
  public static let datagram = ConnectionEvent(rawValue: 5)

  /// The event of each of the 16 combinations of ACK RST SYN FIN (bits 3…0), four bits each:
  /// one constant instead of a chain of branches.
  private static let eventsByFlags: UInt64 = 0x3333_0012_3333_0014

  /// The event of a TCP flags octet (RFC 9293 §3.1).
  @inline(__always) static func tcp(flags: UInt8) -> ConnectionEvent {
    let combination = UInt64(flags & 7 | flags >> 1 & 8)
    return ConnectionEvent(
      rawValue: UInt8(truncatingIfNeeded: eventsByFlags &>> (combination &* 4)) & 0xf)
  }
}

extension ConnectionEvent {
  /// A SYN or a datagram: what LVS schedules by default (`sloppy_tcp` off).
  @inline(__always) var opensConnection: Bool { self == .syn || self == .datagram }
}
