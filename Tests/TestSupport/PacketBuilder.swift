// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Builds Ethernet frames octet by octet, with correct lengths and checksums, for tests and
/// benchmarks. Every field may be set; what is left alone is a plain TCP SYN.
public struct PacketBuilder: Sendable, CustomStringConvertible {
  public var destinationMAC = MACAddress("02:00:00:00:00:d1")!
  public var sourceMAC = MACAddress("02:00:00:00:00:c1")!
  /// VLAN tags from the outside in: (tag type, tag control information).
  public var vlanTags: [(type: EtherType, control: UInt16)] = []
  public var source: IPAddress
  public var destination: IPAddress
  public var ipProtocol = IPProtocol.tcp
  public var sourcePort = Port(40000)
  public var destinationPort = Port(80)
  public var tcpFlags = TCPFlags.syn
  public var sequence: UInt32 = 1
  public var acknowledgment: UInt32 = 0
  public var timeToLive: UInt8 = 64
  /// What follows the transport header; of SCTP the chunks.
  public var payload: [UInt8] = []
  /// IPv4 options, a multiple of four octets.
  public var options: [UInt8] = []
  /// The whole IPv4 flags-and-fragment-offset field; DF by default.
  public var fragmentField: UInt16 = 0x4000
  /// IPv6 extension headers before the transport header: (type, octets including the first two,
  /// whose next-header octet the builder fills in).
  public var extensionHeaders: [(type: UInt8, octets: [UInt8])] = []
  /// Ethernet's minimum of 60 octets is padded with this many zeroes or more.
  public var minimumBytes = 60

  public init(from source: String, to destination: String) {
    self.source = IPAddress(source)!
    self.destination = IPAddress(destination)!
  }

  public func with(_ change: (inout PacketBuilder) -> Void) -> PacketBuilder {
    var copy = self
    change(&copy)
    return copy
  }

  /// For the lists of test arguments, which would print every octet.
  public var description: String {
    "protocol \(ipProtocol.rawValue) from \(source) port \(sourcePort.rawValue) to \(destination) "
      + "port \(destinationPort.rawValue), \(payload.count) octets"
  }

  /// The frame without its check sequence.
  public var frame: [UInt8] {
    var frame = destinationMAC.octets + sourceMAC.octets
    for tag in vlanTags { frame += bigEndian(tag.type.rawValue) + bigEndian(tag.control) }
    switch (source, destination) {
    case (.v4(let source), .v4(let destination)):
      frame += bigEndian(EtherType.ipv4.rawValue) + ipv4(source, destination)
    case (.v6(let source), .v6(let destination)):
      frame += bigEndian(EtherType.ipv6.rawValue) + ipv6(source, destination)
    default:
      preconditionFailure("source and destination must be of one family")
    }
    return frame + [UInt8](repeating: 0, count: max(0, minimumBytes - frame.count))
  }

  private func ipv4(_ source: IPv4Address, _ destination: IPv4Address) -> [UInt8] {
    let addresses = bigEndian(source.rawValue) + bigEndian(destination.rawValue)
    let transport = transport(pseudoHeader: addresses)
    let headerBytes = 20 + options.count
    var header: [UInt8] = [0x40 | UInt8(headerBytes / 4), 0]
    header += bigEndian(UInt16(headerBytes + transport.count)) + [0, 1]
    header += bigEndian(fragmentField) + [timeToLive, ipProtocol.rawValue, 0, 0] + addresses
    header += options
    header.replaceSubrange(10..<12, with: bigEndian(internetChecksum(header)))
    return header + transport
  }

  private func ipv6(_ source: IPv6Address, _ destination: IPv6Address) -> [UInt8] {
    let addresses = [source.high, source.low, destination.high, destination.low].flatMap(bigEndian)
    let transport = transport(pseudoHeader: addresses)
    let types = extensionHeaders.map(\.type) + [ipProtocol.rawValue]
    var extensions: [UInt8] = []
    for (header, next) in zip(extensionHeaders, types.dropFirst()) {
      extensions += [next] + header.octets.dropFirst()
    }
    let payloadBytes = UInt16(extensions.count + transport.count)
    return [0x60, 0, 0, 0] + bigEndian(payloadBytes) + [types[0], timeToLive] + addresses
      + extensions + transport
  }

  private func transport(pseudoHeader addresses: [UInt8]) -> [UInt8] {
    let ports = bigEndian(sourcePort.rawValue) + bigEndian(destinationPort.rawValue)
    var segment: [UInt8]
    let checksumOffset: Int
    switch ipProtocol {
    case .tcp:
      segment = ports + bigEndian(sequence) + bigEndian(acknowledgment)
      segment += [5 << 4, tcpFlags.rawValue, 0xff, 0xff, 0, 0, 0, 0]
      checksumOffset = 16
    case .udp:
      segment = ports + bigEndian(UInt16(8 + payload.count)) + [0, 0]
      checksumOffset = 6
    case .sctp:
      let header = ports + bigEndian(sctpVerificationTag)
      return header + crc32c(header + [0, 0, 0, 0] + payload) + payload
    default:
      return payload
    }
    segment += payload
    let pseudo = addresses + bigEndian(UInt32(segment.count)) + [0, 0, 0, ipProtocol.rawValue]
    let checksum = internetChecksum(pseudo + segment)
    segment.replaceSubrange(checksumOffset..<checksumOffset + 2, with: bigEndian(checksum))
    return segment
  }
}

/// The flags octet of a TCP header, RFC 9293 §3.1.
public struct TCPFlags: OptionSet, Sendable {
  public var rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  public static let fin = TCPFlags(rawValue: 0x01)
  public static let syn = TCPFlags(rawValue: 0x02)
  public static let rst = TCPFlags(rawValue: 0x04)
  public static let psh = TCPFlags(rawValue: 0x08)
  public static let ack = TCPFlags(rawValue: 0x10)
}

/// Octets in network order.
public func bigEndian(_ value: some FixedWidthInteger & UnsignedInteger) -> [UInt8] {
  withUnsafeBytes(of: value.bigEndian) { Array($0) }
}

/// RFC 1071.
public func internetChecksum(_ octets: [UInt8]) -> UInt16 {
  var sum: UInt32 = 0
  for index in stride(from: 0, to: octets.count, by: 2) {
    let low = index + 1 < octets.count ? UInt32(octets[index + 1]) : 0
    sum += UInt32(octets[index]) << 8 | low
  }
  while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
  return ~UInt16(sum)
}
