// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// One ICMP echo over a raw socket that is connected to the real server, so that the kernel hands
/// it that one's replies only.
final class EchoProbe: Probe {
  private let address: IPAddress
  private let echo: EchoMessage
  private let sockets: ProbeSockets
  private let token: UInt64
  private var socket: ProbeSocket?

  init(_ address: IPAddress, _ echo: EchoMessage, _ sockets: ProbeSockets, token: UInt64) {
    self.address = address
    self.echo = echo
    self.sockets = sockets
    self.token = token
  }

  func begin() -> ProbeStep {
    guard let socket = sockets.take(.echo, to: address, for: token) else {
      return .finished(CheckResult(errno: errno, "socket"))
    }
    self.socket = socket
    let code = socket.connect(to: address, Port(0))
    guard code == 0 else { return .finished(CheckResult(errno: code, "connect")) }
    let request = echo.request(isIPv6: address.isVersion6)
    guard send(socket.descriptor, request, request.count, Int32(MSG_NOSIGNAL)) >= 0 else {
      return .finished(CheckResult(errno: errno, "send"))
    }
    return .waiting
  }

  func proceed(_ readiness: Readiness) -> ProbeStep {
    guard let socket else { return .finished(.none("no socket")) }
    let (echo, isIPv6) = (echo, address.isVersion6)
    return socket.receive(limit: 512) { packet in
      // IPv4 raw sockets have the IP header too (raw(7)).
      let header = isIPv6 || packet.isEmpty ? 0 : Int(packet[0] & 15) * 4
      guard header <= packet.count else { return nil }
      let message = UnsafeRawBufferPointer(rebasing: packet[header...])
      return echo.isAnswered(by: message, isIPv6: isIPv6) ? .success : nil
    }
  }

  func end() {
    if let socket { sockets.giveBack(socket) }
    socket = nil
  }
}

/// An echo request's identity: RFC 792, RFC 4443 §4.
struct EchoMessage: Hashable {
  var identifier: UInt16
  var sequence: UInt16
  /// In the data, which comes back as it went.
  var nonce: UInt64

  /// For IPv6 without a checksum, which raw sockets fill in.
  func request(isIPv6: Bool) -> [UInt8] {
    var octets: [UInt8] = [isIPv6 ? 128 : 8, 0, 0, 0]
    octets.append(bigEndian: identifier)
    octets.append(bigEndian: sequence)
    octets.append(bigEndian: nonce)
    guard !isIPv6 else { return octets }
    let checksum = InternetChecksum.of(octets)
    (octets[2], octets[3]) = (UInt8(checksum >> 8), UInt8(checksum & 0xff))
    return octets
  }

  func isAnswered(by message: UnsafeRawBufferPointer, isIPv6: Bool) -> Bool {
    let request = request(isIPv6: isIPv6)
    return message.count >= request.count && message[0] == (isIPv6 ? 129 : 0) && message[1] == 0
      && message[4..<request.count].elementsEqual(request[4...])
  }
}

extension EchoMessage {
  init(using random: inout some RandomNumberGenerator) {
    let numbers = random.next()
    identifier = UInt16(truncatingIfNeeded: numbers)
    sequence = UInt16(truncatingIfNeeded: numbers >> 16)
    nonce = random.next()
  }
}

extension [UInt8] {
  mutating func append(bigEndian value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
  }
}

extension IPAddress {
  var isVersion6: Bool { if case .v6 = self { true } else { false } }
}
