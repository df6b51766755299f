// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import TestSupport
import Testing

/// The same seeded sequence of frames and commands to both directors.
extension Oracle {
  @Suite(.serialized) struct SequenceTests {
    /// All schedulers beside each other. With adapted manners what remains are TTL and the answers
    /// of the kernel's own stack; with its original ones real servers come back too.
    @Test(arguments: zip(KernelManners.allCases, 1...UInt64(99)))
    func everyFrameGoesTheSameWay(_ manners: KernelManners, seed: UInt64) throws {
      let pair = try TwoDirectors(manners.settings)
      var plan = Plan(Variant.all, manners, seed: seed)
      try pair.restore(plan.opening())
      let start = monotonicSeconds()
      var tally = Tally()
      // SYN_RECV lasts 60 s, and the plan does not know when a record ends by itself.
      for block in 1...Self.blockCount where monotonicSeconds() - start < 45 {
        let steps = plan.nextBlock()
        let outcomes = try pair.send(steps)
        for (step, outcome) in zip(steps, outcomes) {
          let service = plan.services[step.service]
          tally.note(outcome, service.variant)
          guard !Self.isAsListed(outcome) else { continue }
          tally.wrongCount += 1
          Issue.record(
            """
            \(service.variant.arguments), seed \(seed), block \(block): \(outcome); \(step.words); \
            after \(service.commands.suffix(4))
            """)
        }
        // One wrong choice makes others.
        guard tally.wrongCount < 4 else { return }
        plan.note(outcomes)
        if block.isMultiple(of: Self.blockCount / 2) {
          try pair.compareTables(orphans: manners == .original, "seed \(seed), block \(block)")
          try pair.ipvsadm(plan.zero())
        }
        for (command, answers) in try pair.answers(to: plan.nextCommands()) {
          #expect(answers.kernel == "exit 0\n" && answers.martinet == answers.kernel, "\(command)")
        }
      }
      tally.expectWorth()
    }

    private static let blockCount = Oracle.isShort ? 2 : 10

    /// What a sequence was worth: frames of every kind were in it.
    private struct Tally {
      var wrongCount = 0
      private var realServers: [String: Set<Int>] = [:]
      private var outcomes: [String: Int] = [:]

      mutating func note(_ outcome: TwoDirectors.Outcomes, _ variant: Variant) {
        outcomes["\(outcome)", default: 0] += 1
        if let number = outcome.martinet.realServer {
          realServers[variant.arguments, default: []].insert(number)
        }
      }

      private static let leastRealServers = Oracle.isShort ? 1 : 2

      func expectWorth() {
        #expect(realServers.count == Variant.all.count)
        for (variant, seen) in realServers {
          #expect(seen.count >= Self.leastRealServers, "\(variant): \(seen)")
        }
        #expect(outcomes.keys.contains { $0.hasPrefix("kernel reset") }, "\(outcomes)")
        #expect(outcomes["kernel nothing, Martinet nothing"] != nil, "\(outcomes)")
      }
    }

    private static func isAsListed(_ outcomes: TwoDirectors.Outcomes) -> Bool {
      switch (outcomes.kernel, outcomes.martinet) {
      // Deviation.timeToLive, on every frame.
      case (.forwarded(let kernels, 1), .forwarded(let martinets, 0)): kernels == martinets
      // A segment of no connection; with `expire_nodest_conn` also one to a removed real server.
      case (.reset, .reset), (.reset, .nothing): true
      case (.portUnreachable, .portUnreachable), (.nothing, .nothing): true
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
