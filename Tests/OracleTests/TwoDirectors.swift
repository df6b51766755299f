// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import TestSupport
import Testing

/// The kernel's IPVS and Martinet, each at the end of a cable of its own, with the same addresses:
/// the same commands and the same frames go to both.
///
/// Martinet is the real binary on one queue, so that what is compared is all that an operator and
/// the network see of it.
final class TwoDirectors {
  static let vip = "192.168.2.149"
  static let realServers = 151...159

  /// What the two made of a frame.
  struct Outcomes {
    var kernel: Outcome
    var martinet: Outcome
  }

  let kernel: KernelDirector
  private let wire: Wire
  private let martinet: RunningDirector
  private let wireTap: FrameTap

  init() throws {
    kernel = try KernelDirector(realServers: Self.realServers)
    wire = try Wire(realServers: Array(Self.realServers))
    martinet = try RunningDirector(on: wire.director)
    wireTap = try wire.far.tap("far0")
    try ipvsadm("-A -u \(Self.vip):9 -s rr")
    try ipvsadm("-a -u \(Self.vip):9 -r 192.168.2.159")
  }

  /// A frame from the client to the VIP.
  static func packet(
    _ ipProtocol: IPProtocol = .tcp, from port: UInt16, to vipPort: UInt16 = 80,
    flags: TCPFlags = .syn
  ) -> PacketBuilder {
    PacketBuilder(from: "10.0.0.2", to: vip).with {
      $0.destinationMAC = Wire.directorMAC
      $0.sourceMAC = Wire.farMAC
      $0.ipProtocol = ipProtocol
      $0.sourcePort = Port(port)
      $0.destinationPort = Port(vipPort)
      $0.tcpFlags = flags
    }
  }

  /// Its answer tells that the director is through with the frame before: a flow of its own to a
  /// service with one real server.
  private static let sentinel = packet(.udp, from: 9, to: 9).with { $0.payload = [9] }.frame

  /// Gives the same command to both, which must say the same and exit alike.
  func ipvsadm(_ arguments: String) throws {
    let kernel = try kernel.finish("ipvsadm \(arguments)")
    let (ending, output) = try martinet.finish(arguments)
    #expect(ending == .exit(kernel.exitCode), "ipvsadm \(arguments)")
    #expect(output == kernel.output, "ipvsadm \(arguments)")
  }

  func send(_ packet: PacketBuilder) throws -> Outcomes { try send(packet.frame) }

  func send(_ frame: [UInt8]) throws -> Outcomes {
    for tap in [kernel.tap, wireTap] {
      try tap.send(frame)
      try tap.send(Self.sentinel)
    }
    return Outcomes(
      kernel: Outcome(of: frame, try answers(on: kernel.tap)),
      martinet: Outcome(of: frame, try answers(on: wireTap)))
  }

  private func answers(on tap: FrameTap) throws -> [[UInt8]] {
    var answers: [[UInt8]] = []
    let last = tap.next(seconds: 10) { seen in
      let octets = seen.octets
      guard !seen.isOutgoing, octets.count >= 42, octets[12..<14] == [0x08, 0x00] else {
        return false
      }
      if octets[34..<38] == Self.sentinel[34..<38] { return true }
      answers.append(octets)
      return false
    }
    guard last != nil else { throw Failure("a director is silent: its sentinel did not come") }
    return answers
  }

  /// The tables of both, and how far their clocks may have been apart, in seconds.
  private func tables() throws -> (kernel: Tables, martinet: Tables, slack: Int) {
    let start = monotonicSeconds()
    let separator = "----\n"
    let text = try kernel.run(
      Tables.listings.map { "ipvsadm \($0); echo ----" }.joined(separator: "\n"))
    let kernelTables = Tables(text.components(separatedBy: separator))
    let martinetTables = Tables(try Tables.listings.map { try martinet.ipvsadm($0) })
    return (kernelTables, martinetTables, 1 + Int((monotonicSeconds() - start).rounded(.up)))
  }

  func connectionCounts() throws -> (kernel: Int, martinet: Int) {
    let titleLines = 2
    let kernel = try kernel.run("ipvsadm -Lnc").split(separator: "\n").count - titleLines
    return (kernel, try martinet.ipvsadm("-Lnc").split(separator: "\n").count - titleLines)
  }

  /// Expects that the tables of the two are alike. Connections are at once; counts may take as
  /// long as Martinet takes to sweep what expired meanwhile. The kernel lists connections by place:
  /// one that ends meanwhile can hide another, so what differs is looked at once more.
  ///
  /// - Parameter orphans: whether connections to removed real servers are compared.
  func compareTables(
    orphans: Bool = true, _ moment: String = "", sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    func read() throws -> (kernel: Tables, martinet: Tables, strays: [String]) {
      var (kernel, martinet, slack) = try tables()
      if !orphans { (kernel, martinet) = (kernel.withoutOrphans, martinet.withoutOrphans) }
      let strays = Tables.differences(kernel.connections, martinet.connections, slack: slack)
      return (kernel, martinet, strays)
    }
    var (kernel, martinet, strays) = try read()
    if !strays.isEmpty { (kernel, martinet, strays) = try read() }
    #expect(strays.isEmpty, "\(moment): \(strays)", sourceLocation: sourceLocation)
    _ = try waitUntil(seconds: 20) {
      if kernel.texts != martinet.texts { (kernel, martinet, _) = try read() }
      return kernel.texts == martinet.texts
    }
    for (kernel, martinet) in zip(kernel.texts, martinet.texts) where kernel != martinet {
      Issue.record(
        "\(moment): kernel\n\(kernel)Martinet\n\(martinet)", sourceLocation: sourceLocation)
    }
  }
}
