// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// One ICMP echo.
final class EchoProbe: Probe {
  private let address: IPAddress
  private let sockets: EchoSockets
  private let token: UInt64
  private var sequence: UInt16?

  init(_ address: IPAddress, _ sockets: EchoSockets, token: UInt64) {
    self.address = address
    self.sockets = sockets
    self.token = token
  }

  func begin() -> ProbeStep {
    guard let sequence = sockets.take(address, for: token) else {
      return .finished(.none("all sequence numbers of pings are in use"))
    }
    self.sequence = sequence
    let code = sockets.ask(sequence)
    return code == 0 ? .waiting : .finished(CheckResult(errno: code, "send"))
  }

  /// It is told of what came of its ping alone.
  func proceed(_ readiness: Readiness) -> ProbeStep {
    sequence.flatMap(sockets.outcome).map(ProbeStep.finished) ?? .waiting
  }

  func end() {
    if let sequence { sockets.release(sequence) }
    sequence = nil
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
  /// Whether an error that quotes these octets is about this request: eight at least (RFC 792), and
  /// as many as there are. IPv6's checksum is not known here.
  func isQuoted(_ octets: UnsafeRawBufferPointer, isIPv6: Bool) -> Bool {
    let request = request(isIPv6: isIPv6)
    let count = min(octets.count, request.count)
    return count >= 8 && octets[..<2].elementsEqual(request[..<2])
      && octets[4..<count].elementsEqual(request[4..<count])
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
