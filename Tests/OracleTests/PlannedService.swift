// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport

/// A virtual service of a plan, as its commands left it.
struct PlannedService {
  struct RealServer {
    var weight: Int
    /// `-x`, 0 for none; a lower threshold is half of it.
    var upper = 0
  }

  let variant: Variant
  let ipProtocol: IPProtocol
  let isIPv6: Bool
  let port: UInt16
  /// `-o`, or `-p` with its mask.
  var options = ""
  /// Whether every datagram comes in fragments.
  let isFragmented: Bool
  /// By last number.
  var realServers: [Int: RealServer] = [:]
  var removed: [Int] = []
  var unused = Array(154...158)
  /// All that was done to it.
  var commands: [String] = []

  /// Every kind of service for every variant, on a port of its own.
  static func all(_ variants: [Variant]) -> [PlannedService] {
    variants.enumerated().flatMap { number, variant in
      kinds.map { kind in
        PlannedService(
          variant: variant, ipProtocol: kind.ipProtocol, isIPv6: kind.isIPv6,
          port: kind.firstPort + UInt16(number), options: kind.options,
          isFragmented: kind.firstPort == fragmentedPorts.lowerBound)
      }
    }
  }

  private static let kinds:
    [(ipProtocol: IPProtocol, isIPv6: Bool, firstPort: UInt16, options: String)] = [
      (.tcp, false, 1000, ""), (.udp, false, 1000, ""), (.udp, false, 2000, " -o"),
      (.tcp, false, 3000, " -p 360 -M 255.255.255.0"),
      (.tcp, true, 1000, ""), (.udp, true, 1000, ""), (.tcp, true, 3000, " -p 360 -M 112"),
      (.sctp, false, 1000, ""), (.sctp, true, 1000, ""),
      (.udp, false, fragmentedPorts.lowerBound, ""), (.udp, true, fragmentedPorts.lowerBound, ""),
    ]

  /// Ports of the services whose datagrams come in fragments.
  static let fragmentedPorts = UInt16(4000)..<5000

  var isOnePacket: Bool { options == " -o" }
  var isPersistent: Bool { options.contains("-p") }
  var vip: String { isIPv6 ? TwoDirectors.vip6 : TwoDirectors.vip }

  /// As ipvsadm takes it.
  var name: String {
    let option = [IPProtocol.tcp: "-t", .udp: "-u", .sctp: "--sctp-service"][ipProtocol]!
    return option + (isIPv6 ? " [\(vip)]:\(port)" : " \(vip):\(port)")
  }

  func realServerName(_ number: Int) -> String {
    isIPv6 ? "[fd00:2::\(number)]:\(port)" : "192.168.2.\(number)"
  }

  /// Two clients of one network of -M, and two of others.
  var clients: [String] {
    isIPv6
      ? ["fd00:10::2", "fd00:10::3", "fd00:10::1:2", "fd00:10:0:1::7"]
      : ["10.0.0.2", "10.0.0.3", "10.0.1.2", "10.7.0.9"]
  }

  /// `-A`, or `-E` with the same again.
  func command(_ verb: String) -> String { "\(verb) \(name) \(variant.arguments)\(options)" }

  /// `-a` or `-e`; an edit sets everything.
  func command(_ verb: String, _ number: Int) -> String {
    let realServer = realServers[number]!
    let limits = realServer.upper == 0 ? "" : " -x \(realServer.upper) -y \(realServer.upper / 2)"
    return "\(verb) \(name) -r \(realServerName(number)) -w \(realServer.weight)\(limits)"
  }

  /// Whether a connection would find a real server without this one.
  func canSpare(_ number: Int) -> Bool {
    realServers.contains { $0.key != number && $0.value.weight > 0 && $0.value.upper == 0 }
  }

  /// `segment` is for a service of its protocol; a datagram has none.
  func packet(client: Int, port clientPort: UInt16, _ segment: Segment? = nil) -> PacketBuilder {
    PacketBuilder(from: clients[client], to: vip).onWire.with {
      $0.ipProtocol = ipProtocol
      $0.sourcePort = Port(clientPort)
      $0.destinationPort = Port(port)
      switch segment {
      case .tcp(let flags): $0.tcpFlags = flags
      // INIT's value is 16 octets long, RFC 9260 §3.3.2.
      case .sctp(let type): $0.payload = sctpChunk(type, [UInt8](repeating: 1, count: 16))
      case nil: break
      }
    }
  }

  /// Three fragments, the longer ones as long as IPv6's defragmentation wants them at least.
  func fragments(client: Int, port: UInt16, identification: UInt16) -> [[UInt8]] {
    packet(client: client, port: port).with {
      $0.fragmentField = 0
      $0.payload = (0..<3192).map { UInt8(truncatingIfNeeded: $0 / 7 * Int(identification)) }
    }.fragments(of: Self.fragmentBytes, identification: identification)
  }

  private static let fragmentBytes = 1400
  static let fragmentsPerDatagram = 3
}

/// What a client sends in a connection: flags, or a packet with one chunk.
enum Segment: CustomStringConvertible {
  case tcp(TCPFlags)
  case sctp(UInt8)

  var event: ConnectionEvent {
    switch self {
    case .tcp(let flags): .tcp(flags: flags.rawValue)
    case .sctp(let type): .sctp(Self.chunks[type]!)
    }
  }

  /// Whether it is a SYN or an INIT.
  var opens: Bool {
    switch self {
    case .tcp(let flags): flags.contains(.syn)
    case .sctp(let type): type == 1
    }
  }

  var description: String {
    switch self {
    case .tcp(let flags): "flags \(flags.rawValue)"
    case .sctp(let type): "chunk \(type)"
    }
  }

  /// RFC 9260 §3.2.
  static let chunks: [UInt8: ConnectionEvent.Chunk] = [
    0: .data, 1: .initiation, 2: .initiationAck, 6: .abort, 7: .shutdown, 8: .shutdownAck,
    9: .error, 10: .cookieEcho, 11: .cookieAck, 14: .shutdownComplete,
  ]
}
