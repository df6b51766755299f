// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import ControlPlane

/// An ICMP error that quotes a ping is the ping's outcome, and a forged one is not.
@Suite struct EchoErrorTests {
  private static let pinged = ["192.168.1.151", "fd00:1::151"]
  private static let router = ["192.168.1.1", "fd00:1::1"]

  /// A ping under way, whose token is 5.
  private final class Desk {
    let sockets: EchoSockets
    let sequence: UInt16
    let isIPv6: Bool

    init(isIPv6: Bool) throws {
      self.isIPv6 = isIPv6
      sockets = EchoSockets(poller: try #require(Poller()))
      sequence = try #require(sockets.take(IPAddress(pinged[isIPv6 ? 1 : 0])!, for: 5))
    }

    var request: [UInt8] { sockets.request(of: sequence)! }

    /// The ICMP message about the request by RFC 792 or RFC 4443 §3.
    func error(_ type: UInt8, _ code: UInt8, octets: Int = .max) -> [UInt8] {
      var packet = PacketBuilder(
        from: isIPv6 ? "fd00:1::150" : "192.168.1.150", to: pinged[isIPv6 ? 1 : 0])
      packet.ipProtocol = isIPv6 ? .icmpv6 : .icmp
      packet.payload = request
      packet.minimumBytes = 0
      let quoted = packet.frame[14...].prefix(isIPv6 ? 40 : 20) + request.prefix(octets)
      return [type, code, 0, 0, 0, 0, 0, 0] + quoted
    }

    func settle(_ message: [UInt8], from sender: String? = nil) -> UInt64? {
      let sender = IPAddress(sender ?? router[isIPv6 ? 1 : 0])!
      return message.withUnsafeBytes { sockets.settle($0, from: sender) }
    }
  }

  @Test(
    arguments: [
      (false, 3, 0, "network unreachable"), (false, 3, 1, "host unreachable"),
      (false, 3, 13, "prohibited"), (false, 3, 15, "unreachable, code 15"),
      (false, 11, 0, "time to live exceeded"), (true, 1, 0, "no route"),
      (true, 1, 3, "address unreachable"), (true, 3, 0, "hop limit exceeded"),
    ] as [(Bool, UInt8, UInt8, String)])
  func isTheOutcome(_ isIPv6: Bool, _ type: UInt8, _ code: UInt8, _ words: String) throws {
    // As much as old routers quote, and all.
    for octets in [8, Int.max] {
      let desk = try Desk(isIPv6: isIPv6)
      #expect(desk.sockets.outcome(of: desk.sequence) == nil)
      #expect(desk.settle(desk.error(type, code, octets: octets)) == 5)
      let sender = Self.router[isIPv6 ? 1 : 0]
      #expect(
        desk.sockets.outcome(of: desk.sequence) == .failure("\(words), says \(sender)"))
    }
  }

  /// RFC 4884 §5: what follows the quoted packet may be filled up and extended.
  @Test func whatFollowsTheQuotedPacketDoesNotMatter() throws {
    let desk = try Desk(isIPv6: false)
    #expect(desk.settle(desk.error(3, 1) + [UInt8](repeating: 0, count: 92)) == 5)
  }

  /// Any octet of the request's type, identifier, sequence and data, and its destination.
  @Test(arguments: [false, true]) func anotherPacketsErrorIsNot(_ isIPv6: Bool) throws {
    let desk = try Desk(isIPv6: isIPv6)
    let message = desk.error(isIPv6 ? 1 : 3, 1)
    let (header, ipBytes) = (8, isIPv6 ? 40 : 20)
    let transport = header + ipBytes
    let destination = transport - (isIPv6 ? 16 : 4)..<transport
    let checksum = transport + 2..<transport + 4
    for place in Array(destination) + Array(transport..<message.count)
    where !checksum.contains(place) {
      var forged = message
      forged[place] ^= 1
      #expect(desk.settle(forged) == nil, "\(place)")
    }
    for count in 8..<transport + 8 {
      #expect(desk.settle(Array(message[..<count])) == nil, "\(count) octets")
    }
    for (type, code) in [(UInt8(5), UInt8(1)), (4, 0), (2, 0), (128, 0)]
    where !(isIPv6 && type == 4) {
      #expect(desk.settle([type, code] + message[2...]) == nil, "\(type)")
    }
    #expect(desk.sockets.outcome(of: desk.sequence) == nil)
    #expect(desk.settle(message) == 5)
  }

  @Test func whatComesFirstCounts() throws {
    let desk = try Desk(isIPv6: false)
    let error = desk.error(3, 1)
    var reply = desk.request
    reply[0] = 0
    #expect(desk.settle(reply) == nil, "from another address")
    #expect(desk.settle(reply, from: Self.pinged[0]) == 5)
    #expect(desk.settle(error) == nil)
    #expect(desk.sockets.outcome(of: desk.sequence) == .success)
    desk.sockets.release(desk.sequence)
    #expect(desk.settle(error) == nil)
  }
}
