// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import TestSupport
import Testing

/// The same seeded sequence of frames and commands to both directors.
extension Oracle {
  @Suite(.serialized) struct SequenceTests {
    /// The kernel is told to treat records as Martinet does (`conn_reuse_mode`,
    /// `expire_nodest_conn`), so that after a deviation both are in the same state again. What
    /// remains: TTL, and the answers of the kernel's own stack.
    @Test(arguments: [("rr", UInt64(1)), ("wrr", 2)])
    func everyFrameGoesTheSameWay(scheduler: String, seed: UInt64) throws {
      let pair = try TwoDirectors()
      try pair.kernel.run(
        "sysctl -qw net.ipv4.vs.conn_reuse_mode=3 net.ipv4.vs.expire_nodest_conn=1")
      var plan = Plan(scheduler: scheduler, seed: seed)
      for command in plan.opening { try pair.ipvsadm(command) }
      var tally: [String: Int] = [:]
      for number in 0..<600 {
        if number % 15 == 14 { try pair.ipvsadm(plan.nextCommand()) }
        let packet = plan.nextPacket()
        let outcomes = try pair.send(packet)
        let words = "kernel \(outcomes.kernel), Martinet \(outcomes.martinet)"
        #expect(
          Self.isAsListed(outcomes),
          "frame \(number): \(words); \(packet); after \(plan.commands.suffix(3))")
        tally[words, default: 0] += 1
        if number % 150 == 149 {
          try pair.compareTables(orphans: false, "after frame \(number)")
        }
      }
      // The sequence is worth something: frames of every kind were in it.
      #expect(tally.keys.count { $0.contains("Martinet to") } >= 4, "\(tally)")
      #expect(tally.keys.contains { $0.hasPrefix("kernel reset") }, "\(tally)")
    }

    private static func isAsListed(_ outcomes: TwoDirectors.Outcomes) -> Bool {
      switch (outcomes.kernel, outcomes.martinet) {
      // Deviation.timeToLive, on every frame.
      case (.forwarded(let kernels, 1), .forwarded(let martinets, 0)): kernels == martinets
      // A segment of no connection; with `expire_nodest_conn` also one to a removed real server.
      case (.reset, .reset), (.reset, .nothing): true
      case (.nothing, .nothing): true
      default: false
      }
    }

    @Test func connectionsEndAtTheSameTime() throws {
      let pair = try TwoDirectors()
      let service = "-t \(TwoDirectors.vip):80"
      try pair.ipvsadm("--set 2 5 40")
      try pair.ipvsadm("-A \(service) -s rr")
      try pair.ipvsadm("-a \(service) -r 192.168.2.151")
      for (port, flags) in [
        (1, [.ack]), (2, [.ack, .fin]), (3, []), (4, [.ack, .rst]),
      ] as [(UInt16, [TCPFlags])] {
        for flags in [.syn] + flags {
          _ = try pair.send(TwoDirectors.packet(from: port, flags: flags))
        }
      }
      let start = monotonicSeconds()
      let connections = try pair.connectionCounts()
      #expect(connections.kernel == 5 && connections.martinet == 5, "\(connections)")
      // ESTABLISHED 2 s, FIN_WAIT 5 s, CLOSE 10 s; the sentinel's UDP 40 s and SYN_RECV 60 s stay.
      for (second, left) in [(3.2, 4), (6.5, 3), (11.5, 2)] {
        let rest = start + second - monotonicSeconds()
        if rest > 0 { usleep(UInt32(rest * 1e6)) }
        let counts = try pair.connectionCounts()
        #expect(counts.kernel == left && counts.martinet == left, "\(second) s: \(counts)")
      }
      try pair.compareTables()
    }
  }
}

/// Frames and commands by seed. Every service has a real server that takes connections at any time,
/// and an address that was removed is not used again: what happens else is in DeviationTests.
private struct Plan {
  private static let services = ["-t \(TwoDirectors.vip):80", "-t \(TwoDirectors.vip):81"]
  private static let names = "-u \(TwoDirectors.vip):53"

  private let scheduler: String
  private var generator: Seed
  /// By service: last numbers and weights of its real servers.
  private var weights: [String: [Int: Int]] = [:]
  private var unused: [String: [Int]] = [:]
  private(set) var commands: [String] = []
  private(set) var opening: [String] = []

  init(scheduler: String, seed: UInt64) {
    self.scheduler = scheduler
    generator = Seed(seed)
    for service in Self.services + [Self.names] {
      opening.append("-A \(service) -s \(scheduler)")
      unused[service] = Array(154...158)
      weights[service] = [:]
      for number in 151...153 {
        let weight = number - 150
        weights[service]![number] = weight
        opening.append("-a \(service) -r 192.168.2.\(number) -w \(weight)")
      }
    }
  }

  mutating func nextPacket() -> PacketBuilder {
    if Int.random(in: 0..<4, using: &generator) == 0 {
      let port = UInt16.random(in: 100..<116, using: &generator)
      return TwoDirectors.packet(.udp, from: port, to: 53)
    }
    let port = UInt16.random(in: 100..<112, using: &generator)
    let usual: [TCPFlags] = [.syn, .syn, .ack, .ack, [.psh, .ack], [.fin, .ack], .rst]
    // One in four has any of the 32 combinations of the five flags but SYN with RST.
    var flags = usual.randomElement(using: &generator)!
    if Int.random(in: 0..<4, using: &generator) == 0 {
      flags = TCPFlags(rawValue: UInt8.random(in: 0..<32, using: &generator))
      if flags.isSuperset(of: [.syn, .rst]) { flags.remove(.rst) }
    }
    return TwoDirectors.packet(
      from: port, to: UInt16.random(in: 80...81, using: &generator), flags: flags)
  }

  mutating func nextCommand() -> String {
    let command = command()
    commands.append(command)
    return command
  }

  private mutating func command() -> String {
    let service = (Self.services + [Self.names]).randomElement(using: &generator)!
    let servers = weights[service]!
    let number = servers.keys.sorted().randomElement(using: &generator)!
    let othersTake = servers.contains { $0.key != number && $0.value > 0 }
    switch Int.random(in: 0..<4, using: &generator) {
    case 0 where !unused[service]!.isEmpty:
      let added = unused[service]!.removeFirst()
      weights[service]![added] = Int.random(in: 0...6, using: &generator)
      return "-a \(service) -r 192.168.2.\(added) -w \(weights[service]![added]!)"
    case 1 where othersTake && servers.count > 2:
      weights[service]![number] = nil
      return "-d \(service) -r 192.168.2.\(number)"
    case 2 where othersTake:
      weights[service]![number] = 0
    default:
      weights[service]![number] = Int.random(in: 1...6, using: &generator)
    }
    return "-e \(service) -r 192.168.2.\(number) -w \(weights[service]![number]!)"
  }
}
