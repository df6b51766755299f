// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// One question to a VIP at a real server's MAC address, on the wire that clients' packets take,
/// without a socket of the kernel's, which may hold the VIP for its own.
///
/// Its packets live for one hop: a real server that has no VIP cannot pass them on to one that
/// has. A connection is half opened and reset; the answer must repeat a number that only this
/// probe knows.
final class VIPProbe: Probe {
  private let kind: HealthCheck.Kind
  private let vip: IPAddress
  private let port: Port
  private let realServer: IPAddress
  private let link: LinkSockets
  private let token: UInt64
  private let nonce: UInt32
  private var packet: ProbePacket?
  private var message: DNSMessage?
  private var result: CheckResult?

  /// - Parameters:
  ///   - token: what the link tells the answer by.
  ///   - nonce: drawn for this question alone.
  init(
    _ kind: HealthCheck.Kind, _ vip: IPAddress, _ port: Port, at realServer: IPAddress,
    _ link: LinkSockets, token: UInt64, nonce: UInt32
  ) {
    self.kind = kind
    self.vip = vip
    self.port = port
    self.realServer = realServer
    self.link = link
    self.token = token
    self.nonce = nonce
  }

  func begin() -> ProbeStep {
    guard let source = link.source(towards: realServer, notBeing: vip) else {
      return .finished(.none("this host has no address on the network of \(realServer)"))
    }
    guard let ownPort = link.take(for: self, token) else {
      return .finished(.none("all ports of this kind of check are in use"))
    }
    let packet = ProbePacket(source: source, destination: vip, ownPort: ownPort, port: port)
    self.packet = packet
    return send(question(packet)).map(ProbeStep.finished) ?? .waiting
  }

  func proceed(_ readiness: Readiness) -> ProbeStep { result.map(ProbeStep.finished) ?? .waiting }

  func end() {
    if let packet { link.release(packet.ownPort) }
    packet = nil
  }

  /// What came to its port; returns whether that is a result.
  func take(_ answer: LinkAnswer) -> Bool {
    guard result == nil, answer.source == vip else { return false }
    result = judge(answer)
    return result != nil
  }

  private func question(_ packet: ProbePacket) -> [UInt8] {
    switch kind {
    case .udp(let question): return packet.datagram(question.payload)
    case .dns(let question):
      let message = DNSMessage(question)
      self.message = message
      return packet.datagram(message.query)
    case .ping: return packet.echo(nonce)
    case .tcp, .http, .https, .command: return packet.segment(.syn, sequence: nonce)
    }
  }

  private func judge(_ answer: LinkAnswer) -> CheckResult? {
    switch (kind, answer.content) {
    case (.tcp, .segment(port, let flags, let acknowledged)):
      guard acknowledged == nonce &+ 1 else { return nil }
      if flags.contains(.rst) { return .failure("connection refused") }
      guard flags.contains([.syn, .ack]) else { return nil }
      // What is half open at the real server ends.
      if let packet { _ = send(packet.segment(.rst, sequence: nonce &+ 1)) }
      return .success
    case (.udp(let question), .datagram(port, let payload)):
      return payload.withUnsafeBytes(question.judge)
    case (.dns, .datagram(port, let payload)):
      return message.flatMap { message in payload.withUnsafeBytes { message.judge($0) } }
    case (.ping, .echo(nonce)):
      return .success
    default: return nil
    }
  }

  /// nil where it is sent.
  private func send(_ packet: [UInt8]) -> CheckResult? {
    guard let code = link.send(packet, to: realServer, isIPv6: vip.isVersion6) else {
      return .failure("its MAC address is not known")
    }
    return code == 0 ? nil : CheckResult(errno: code, "send")
  }
}
