// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

extension Outcome {
  /// To the real server with this last number.
  static func to(_ realServer: UInt8, hops: Int = 0) -> Outcome {
    .forwarded(to: realServer, hops: hops)
  }

  var otherFrames: [[UInt8]]? {
    if case .other(let frames) = self { frames } else { nil }
  }
}

extension TwoDirectors {
  /// A deviation is there as described.
  func show(
    _ deviation: Deviation, _ packet: PacketBuilder, kernel: Outcome, martinet: Outcome,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let outcomes = try send(packet)
    #expect(outcomes.kernel == kernel, "\(deviation): kernel", sourceLocation: sourceLocation)
    #expect(outcomes.martinet == martinet, "\(deviation): Martinet", sourceLocation: sourceLocation)
  }

  /// Both send a packet to this real server, or drop it.
  func agree(
    _ packet: PacketBuilder, on realServer: UInt8?,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let outcomes = try send(packet)
    let expected = realServer.map { Outcome.to($0) } ?? .nothing
    #expect(outcomes.kernel.isSame(as: expected), sourceLocation: sourceLocation)
    #expect(outcomes.martinet == expected, sourceLocation: sourceLocation)
  }

  /// The kernel takes these arguments of ipvsadm, Martinet says why it does not.
  func showRefusal(
    _ deviation: Deviation, _ arguments: String, says words: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for (_, answers) in try answers(to: [arguments]) {
      let isRefused = answers.martinet.contains(words) && !answers.martinet.hasSuffix("exit 0\n")
      #expect(
        answers.kernel == "exit 0\n" && isRefused, "\(deviation): \(answers)",
        sourceLocation: sourceLocation)
    }
  }
}

extension TwoDirectors {
  /// Makes both see segments to these ports of the VIP as marked.
  func mark(
    _ mark: Int, tcpPorts: ClosedRange<UInt16>, of vip: String = TwoDirectors.vip
  ) throws {
    let ports = "\(tcpPorts.lowerBound)-\(tcpPorts.upperBound)"
    try kernel.run(
      """
      tc filter add dev vec0 ingress protocol ip flower ip_proto tcp dst_ip \(vip) \
        dst_port \(ports) action skbedit mark \(mark)
      """)
    try martinet("mark add \(mark) --tcp \(vip):\(ports)")
  }

  /// A director's exit code of `ipvsadm -R`, and the services that it has then.
  typealias Restored = (exitCode: Int32, services: [String])

  func outcomes(ofRestoring rules: [String]) throws -> (kernel: Restored, martinet: Restored) {
    func services(_ text: String) -> [String] {
      text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    }
    let exitCode = try kernel.finish("ipvsadm -R <<'END'\n\(rules.joined(separator: "\n"))\nEND\n")
      .exitCode
    guard case .exit(let martinets) = try martinet.restore(rules).ending else {
      throw Failure("ipvsadm -R was killed")
    }
    return (
      (exitCode, services(try kernel.run("ipvsadm -Sn"))),
      (martinets, services(try martinet.ipvsadm("-Sn")))
    )
  }
}
