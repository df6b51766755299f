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
          port: kind.firstPort + UInt16(number), options: kind.options)
      }
    }
  }

  private static let kinds:
    [(ipProtocol: IPProtocol, isIPv6: Bool, firstPort: UInt16, options: String)] = [
      (.tcp, false, 1000, ""), (.udp, false, 1000, ""), (.udp, false, 2000, " -o"),
      (.tcp, false, 3000, " -p 360 -M 255.255.255.0"),
      (.tcp, true, 1000, ""), (.udp, true, 1000, ""), (.tcp, true, 3000, " -p 360 -M 112"),
    ]

  var isTCP: Bool { ipProtocol == .tcp }
  var isOnePacket: Bool { options == " -o" }
  var isPersistent: Bool { options.contains("-p") }
  var vip: String { isIPv6 ? TwoDirectors.vip6 : TwoDirectors.vip }

  /// As ipvsadm takes it.
  var name: String {
    (isTCP ? "-t " : "-u ") + (isIPv6 ? "[\(vip)]:\(port)" : "\(vip):\(port)")
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

  func packet(client: Int, port clientPort: UInt16, flags: TCPFlags) -> PacketBuilder {
    PacketBuilder(from: clients[client], to: vip).onWire.with {
      $0.ipProtocol = ipProtocol
      $0.sourcePort = Port(clientPort)
      $0.destinationPort = Port(port)
      $0.tcpFlags = flags
    }
  }
}
