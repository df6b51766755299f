// SPDX-License-Identifier: Apache-2.0

extension PacketParser {
  /// As `transport`, also of SCTP (RFC 9260), which the packet loop leaves to the end of the batch:
  /// decoded there it would cost every packet six instructions.
  static func anyTransport(
    _ frame: RawSpan, at offset: Int, bytes: Int, ipProtocol: UInt8, ipBytes: Int
  ) -> Parsed<TransportFields> {
    guard ipProtocol == IPProtocol.sctp.rawValue else {
      return transport(frame, at: offset, bytes: bytes, ipProtocol: ipProtocol, ipBytes: ipBytes)
    }
    guard bytes >= sctpHeaderBytes else { return Parsed(drop: .truncated) }
    let chunk = chunk(frame, at: offset + sctpHeaderBytes, bytes: bytes - sctpHeaderBytes)
    return Parsed(
      TransportFields(
        sourcePort: frame.uint16(at: offset), destinationPort: frame.uint16(at: offset + 2),
        ipProtocol: ipProtocol, event: .sctp(chunk),
        ipBytes: UInt16(truncatingIfNeeded: ipBytes)))
  }

  /// RFC 9260 §3.1, §3.2.
  private static let sctpHeaderBytes = 12
  private static let chunkHeaderBytes = 4

  /// Which chunk counts of the `bytes` that are there, as `set_sctp_state` has it: the first one,
  /// but an ABORT behind a COOKIE ECHO or COOKIE ACK. A packet without a chunk begins nothing and
  /// ends nothing, as data.
  private static func chunk(
    _ frame: RawSpan, at offset: Int, bytes: Int
  ) -> ConnectionEvent.Chunk {
    guard bytes >= chunkHeaderBytes else { return .data }
    let first = chunk(type: frame.uint8(at: offset))
    guard first == .cookieEcho || first == .cookieAck else { return first }
    let length = Int(frame.uint16(at: offset + 2))
    let next = (length + 3) & ~3
    guard length >= chunkHeaderBytes, bytes - next >= chunkHeaderBytes else { return first }
    return chunk(type: frame.uint8(at: offset + next)) == .abort ? .abort : first
  }

  /// RFC 9260 §3.2, table 1.
  private static func chunk(type: UInt8) -> ConnectionEvent.Chunk {
    switch type {
    case 1: .initiation
    case 2: .initiationAck
    case 6: .abort
    case 7: .shutdown
    case 8: .shutdownAck
    case 9: .error
    case 10: .cookieEcho
    case 11: .cookieAck
    case 14: .shutdownComplete
    default: .data
    }
  }
}
