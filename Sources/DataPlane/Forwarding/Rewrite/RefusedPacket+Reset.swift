// SPDX-License-Identifier: Apache-2.0

/// The RST with which a host answers a segment of no connection: RFC 9293 §3.10.7.1.
extension RefusedPacket {
  private static let headerBytes = 20
  /// Ethernet's smallest frame without its check sequence; the rest of it is zero.
  private static let smallestFrameBytes = 60
  private static let fin: UInt8 = 0x01
  private static let rst: UInt8 = 0x04
  private static let ack: UInt8 = 0x10

  /// As `make`: from SEG.ACK where there is one, else it acknowledges the segment. A segment with
  /// a wrong checksum is not answered (RFC 9293 §3.1), a fragment neither.
  func makeReset() -> Int? {
    guard let upper = upperLayer, upper.header == IPProtocol.tcp.rawValue else { return nil }
    let bytes = offset + packetBytes - upper.offset
    let segment = frame + upper.offset
    let dataOffset = Int(segment.uint8(at: 12) &>> 4) * 4
    guard dataOffset >= Self.headerBytes, dataOffset <= bytes else { return nil }
    var checksum = pseudoHeader(.tcp, bytes: bytes)
    checksum.add(segment, count: bytes)
    let ipBytes = isIPv6 ? 40 : 20
    let end = offset + ipBytes + Self.headerBytes
    let answerBytes = max(end, Self.smallestFrameBytes)
    guard checksum.value == 0, answerBytes <= room else { return nil }

    let flags = segment.uint8(at: 13)
    let (source, destination) = (segment.uint16(at: 0), segment.uint16(at: 2))
    let length = UInt32(truncatingIfNeeded: bytes - dataOffset) &+ UInt32(flags & Self.fin)
    let hasACK = flags & Self.ack != 0
    let sequence = hasACK ? segment.uint32(at: 8) : 0
    let acknowledgment = hasACK ? 0 : segment.uint32(at: 4) &+ length
    writeHeaders(.tcp, bytes: Self.headerBytes)
    let answer = packet + ipBytes
    answer.store(uint16: destination, at: 0)
    answer.store(uint16: source, at: 2)
    answer.store(uint32: sequence, at: 4)
    answer.store(uint32: acknowledgment, at: 8)
    answer.store(uint16: 0x5000 | UInt16(Self.rst | (hasACK ? 0 : Self.ack)), at: 12)
    // Window, checksum, urgent pointer, and what the frame has over.
    (answer + 14).initializeMemory(
      as: UInt8.self, repeating: 0, count: 6 + answerBytes - end)
    var answerChecksum = pseudoHeader(.tcp, bytes: Self.headerBytes)
    answerChecksum.add(answer, count: Self.headerBytes)
    answer.store(uint16: answerChecksum.value, at: 16)
    return answerBytes
  }
}
