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
  static let vip6 = "fd00:2::149"
  static let realServers = 151...159
  /// All that user-mode Linux has.
  static let kernelSchedulers = [
    "rr", "wrr", "lc", "wlc", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "lblc", "lblcr",
  ]

  /// What the two made of a frame.
  struct Outcomes: CustomStringConvertible {
    var kernel: Outcome
    var martinet: Outcome

    var description: String { "kernel \(kernel), Martinet \(martinet)" }
  }

  let kernel: KernelDirector
  private let wire: Wire
  let martinet: RunningDirector
  let wireTap: FrameTap

  /// - Parameter settings: the kernel's, in /proc/sys/net/ipv4/vs.
  init(_ settings: [String: Int] = [:]) throws {
    kernel = try #require(KernelDirector.shared)
    try kernel.reset(settings)
    wire = try Wire(realServers: Array(Self.realServers))
    martinet = try RunningDirector(on: wire.director)
    wireTap = try wire.far.tap("far0")
    try ipvsadm("-A -u \(Self.vip):9 -s rr")
    try ipvsadm("-a -u \(Self.vip):9 -r 192.168.2.159")
    // What the kernel had still to say about the test before.
    _ = try send(together: [])
  }

  /// A frame from the client to the VIP.
  static func packet(
    _ ipProtocol: IPProtocol = .tcp, from port: UInt16, to vipPort: UInt16 = 80,
    flags: TCPFlags = .syn
  ) -> PacketBuilder {
    PacketBuilder(from: "10.0.0.2", to: vip).onWire.with {
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
  func ipvsadm(_ arguments: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
    kernel.comparisons.commands += 1
    let running = try kernel.start("ipvsadm \(arguments)")
    let (ending, output) = try martinet.finish(arguments)
    let kernel = try kernel.answer(to: running)
    #expect(
      ending == .exit(kernel.exitCode), "ipvsadm \(arguments)", sourceLocation: sourceLocation)
    #expect(output == kernel.output, "ipvsadm \(arguments)", sourceLocation: sourceLocation)
  }

  /// A command of Martinet's own.
  func martinet(_ arguments: String) throws { try martinet.martinet(arguments) }

  /// Gives the same rules to `ipvsadm -R` of both.
  func restore(_ rules: [String]) throws {
    let running = try kernel.start("ipvsadm -R <<'END'\n\(rules.joined(separator: "\n"))\nEND\n")
    let (ending, output) = try martinet.restore(rules)
    let kernel = try kernel.answer(to: running)
    #expect(kernel.exitCode == 0 && kernel.output.isEmpty, "\(kernel)")
    #expect(ending == .exit(0) && output.isEmpty, "\(output)")
  }

  /// Gives `-R` of each what `-S` of the other says, after which both say the same again.
  func exchangeTables(sourceLocation: SourceLocation = #_sourceLocation) throws {
    let kernels = try kernel.run("ipvsadm -Sn")
    let martinets = try martinet.ipvsadm("-Sn")
    try ipvsadm("-C")
    try kernel.run("ipvsadm -R <<'END'\n\(martinets)END\n")
    let (ending, output) = try martinet.restore(kernels.split(separator: "\n").map(String.init))
    #expect(ending == .exit(0) && output.isEmpty, "\(output)", sourceLocation: sourceLocation)
    let restored = (kernel: try kernel.run("ipvsadm -Sn"), martinet: try martinet.ipvsadm("-Sn"))
    #expect(restored.kernel == restored.martinet, sourceLocation: sourceLocation)
    #expect(
      restored.kernel.split(separator: "\n").count == kernels.split(separator: "\n").count,
      sourceLocation: sourceLocation)
  }

  /// What both say to commands, one by one, and their exit codes.
  func answers(
    to commands: [String]
  ) throws -> [(command: String, answers: (kernel: String, martinet: String))] {
    kernel.comparisons.commands += commands.count
    let separator = "----\n"
    let script = commands.map { "ipvsadm \($0); echo \"exit $?\"; echo ----" }
    let running = try kernel.start(script.joined(separator: "\n"))
    let martinets = try commands.map {
      let (ending, output) = try martinet.finish($0)
      guard case .exit(let code) = ending else { throw Failure("\($0): \(ending)") }
      return output.replacingOccurrences(of: martinet.ipvsadmPath, with: "ipvsadm")
        + "exit \(code)\n"
    }
    let kernels = try kernel.answer(to: running, seconds: 120).output
      .components(separatedBy: separator)
    // Each has a table of another size.
    let banner = /IP Virtual Server.*\n/
    let pairs = zip(kernels, martinets).map {
      (kernel: $0.replacing(banner, with: ""), martinet: $1.replacing(banner, with: ""))
    }
    return Array(zip(commands, pairs)).map { (command: $0, answers: $1) }
  }

  func send(_ packet: PacketBuilder) throws -> Outcomes { try send(packet.frame) }

  func send(_ frame: [UInt8]) throws -> Outcomes {
    try send([Step(frame: frame)])[0]
  }

  /// Sends one frame after the other, and the next one when the director is through with it;
  /// the kernel, which takes one frame at a time, gets a few at once.
  func send(_ steps: [Step]) throws -> [Outcomes] {
    kernel.comparisons.packets += steps.count
    kernel.comparisons.frames += steps.reduce(0) { $0 + $1.frames.count }
    var kernels: [Outcome] = []
    func readAnswers(before end: Int) throws {
      while kernels.count < end {
        let step = steps[kernels.count]
        let answers = try step.rounds.flatMap { _ in try self.answers(on: kernel.tap) }
        kernels.append(Outcome(of: step.frames, answers))
      }
    }
    // Services of which the kernel's timer may not have ended a record yet.
    var ending: Set<Int> = []
    for (number, step) in steps.enumerated() {
      if ending.contains(step.service) {
        try readAnswers(before: number)
        usleep(Self.timerMicroseconds)
        ending = []
      }
      for round in step.rounds {
        for frame in round + [Self.sentinel] { try kernel.tap.send(frame) }
      }
      if step.endsRecord { ending.insert(step.service) }
      if number - kernels.count > 16 { try readAnswers(before: number) }
    }
    try readAnswers(before: steps.count)
    if !ending.isEmpty { usleep(Self.timerMicroseconds) }
    return try zip(steps, kernels).map { step, kernel in
      let answers = try step.rounds.flatMap { round in
        for frame in round + [Self.sentinel] { try wireTap.send(frame) }
        return try self.answers(on: wireTap)
      }
      return Outcomes(kernel: kernel, martinet: Outcome(of: step.frames, answers))
    }
  }

  /// Sends frames in a row, and returns what each of the directors sent for them.
  func send(together frames: [[UInt8]]) throws -> (kernel: [[UInt8]], martinet: [[UInt8]]) {
    for tap in [kernel.tap, wireTap] {
      for frame in frames + [Self.sentinel] { try tap.send(frame) }
    }
    return (try answers(on: kernel.tap), try answers(on: wireTap))
  }

  /// `ip_vs_conn_expire_now` sets a timer to the next tick, of 10 ms there.
  private static let timerMicroseconds: UInt32 = 30_000

  private func answers(on tap: FrameTap) throws -> [[UInt8]] {
    var answers: [[UInt8]] = []
    let last = tap.next(seconds: 20) { seen in
      let octets = seen.octets
      guard !seen.isOutgoing, IPPacket(octets) != nil, !Self.isHousekeeping(octets) else {
        return false
      }
      if octets[12..<14] == [8, 0], octets[34..<38] == Self.sentinel[34..<38] { return true }
      answers.append(octets)
      return false
    }
    guard last != nil else { throw Failure("a director is silent: its sentinel did not come") }
    return answers
  }

  /// Multicast listener reports (RFC 3810, behind a hop-by-hop header) and neighbour discovery
  /// (RFC 4861).
  private static func isHousekeeping(_ frame: [UInt8]) -> Bool {
    guard frame[12..<14] == [0x86, 0xdd] else { return false }
    return frame[20] == 0 || (frame[20] == 58 && (133...137).contains(frame[54]))
  }

  /// The tables of both, and how far their clocks may have been apart, in seconds.
  private func tables() throws -> (kernel: Tables, martinet: Tables, slack: Int) {
    kernel.comparisons.listings += Tables.listings.count
    let start = monotonicSeconds()
    let separator = "----\n"
    let running = try kernel.start(
      Tables.listings.map { "ipvsadm \($0); echo ----" }.joined(separator: "\n"))
    let martinetTables = Tables(
      try Tables.listings.map { try martinet.ipvsadm($0) }, isKernels: false)
    let (exitCode, text) = try kernel.answer(to: running)
    guard exitCode == 0 else { throw Failure("listings: exit \(exitCode)\n\(text)") }
    let kernelTables = Tables(text.components(separatedBy: separator), isKernels: true)
    return (kernelTables, martinetTables, 1 + Int((monotonicSeconds() - start).rounded(.up)))
  }

  /// The templates of a client in `-Lnc` of the kernel, then of Martinet.
  func lines(of client: String) throws -> [String] {
    let key = client.split(separator: " ")
    return try [kernel.run("ipvsadm -Lnc"), martinet.ipvsadm("-Lnc")].flatMap {
      $0.split(separator: "\n").map(String.init).filter { line in
        let words = line.split(separator: " ")
        return words.count > 4 && words[0] == key[0] && words[3] == key[1]
          && words[4].hasPrefix(key[2])
      }
    }
  }

  /// Connections, packets in and out, octets in and out of the service listed as `name`.
  func statistics(of name: String) throws -> (kernel: [Int], martinet: [Int]) {
    func numbers(_ text: String) -> [Int] {
      let line = text.split(separator: "\n").first { $0.contains(" \(name) ") }
      return line?.split(separator: " ").compactMap { Int($0) } ?? []
    }
    let command = "-Ln --stats --exact"
    return (
      numbers(try kernel.run("ipvsadm \(command)")), numbers(try martinet.ipvsadm(command))
    )
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
      let lines = Tables.lineDifferences(kernel, martinet).joined(separator: "\n")
      Issue.record("\(moment):\n\(lines)", sourceLocation: sourceLocation)
    }
  }
}

extension PacketBuilder {
  /// From the far end of the director's cable.
  var onWire: PacketBuilder {
    with {
      $0.destinationMAC = Wire.directorMAC
      $0.sourceMAC = Wire.farMAC
    }
  }
}
