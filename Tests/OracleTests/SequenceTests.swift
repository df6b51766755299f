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
          tally.note(outcome, service, step)
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
      guard !Oracle.isShort else { return }
      let example = plan.services.randomElement(using: &plan.generator)!.name
      try Self.compare(pair, Self.otherListings + ["-Ln \(example)"])
      try Self.showUnsorted(pair)
      try pair.exchangeTables()
    }

    /// What both say to listings, as soon as Martinet counts no more what expired.
    private static func compare(_ pair: TwoDirectors, _ listings: [String]) throws {
      var wrong: [String] = []
      _ = try waitUntil(seconds: 20) {
        wrong = try pair.answers(to: listings).compactMap { command, answers in
          let lines = Tables.lineDifferences(answers.kernel, answers.martinet)
          return lines.isEmpty ? nil : "\(command): \(lines)"
        }
        return wrong.isEmpty
      }
      #expect(wrong.isEmpty)
    }

    /// The order of many services is another one with each.
    private static func showUnsorted(_ pair: TwoDirectors) throws {
      let listings = try pair.answers(to: ["-Ln", "-Ln --nosort"]).map(\.answers)
      let services = listings.map { both in
        [both.kernel, both.martinet].map { text in
          text.split(separator: "\n").filter { $0.contains(":") && !$0.hasPrefix("  ->") }
        }
      }
      #expect(services[0][0] == services[0][1])
      #expect(services[1][0] != services[1][1], "\(Deviation.unsorted)")
      for unsorted in services[1] { #expect(unsorted.sorted() == services[0][0].sorted()) }
    }

    /// What `Tables` leaves out: other spellings, orders, and options without much to say here.
    private static let otherListings = [
      "-ln", "--list --numeric", "-Ln --sort", "-Ln --exact", "-Ln --tun-info",
      "-Ln --thresholds --exact", "-L --timeout -n", "-L --daemon", "-L --daemon -n", "--save -n",
    ]

    private static let blockCount = Oracle.isShort ? 2 : 10

    /// What a sequence was worth: frames of every kind were in it.
    private struct Tally {
      var wrongCount = 0
      private var realServers: [String: Set<Int>] = [:]
      private var outcomes: [String: Int] = [:]
      /// Packets that were forwarded, by kind.
      private var kinds: [String: Int] = [:]

      mutating func note(
        _ outcome: TwoDirectors.Outcomes, _ service: PlannedService, _ step: Step
      ) {
        outcomes["\(outcome)", default: 0] += 1
        guard let number = outcome.martinet.realServer else { return }
        realServers[service.variant.arguments, default: []].insert(number)
        let what =
          step.words.hasPrefix("ICMP")
          ? "ICMP error" : step.frames.count > 1 ? "fragments" : "\(service.ipProtocol)"
        kinds[what + (service.isIPv6 ? " over IPv6" : ""), default: 0] += 1
      }

      private static let leastRealServers = Oracle.isShort ? 1 : 2

      func expectWorth() {
        #expect(realServers.count == Variant.all.count)
        for (variant, seen) in realServers {
          #expect(seen.count >= Self.leastRealServers, "\(variant): \(seen)")
        }
        #expect(outcomes.keys.contains { $0.hasPrefix("kernel reset") }, "\(outcomes)")
        #expect(outcomes["kernel nothing, Martinet nothing"] != nil, "\(outcomes)")
        // TCP, UDP, SCTP, fragments and ICMP errors, over both.
        #expect(kinds.count == 10, "\(kinds)")
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

    #if !DEBUG
      /// Both begin and cease to spare a real server at the same connection: at `-x`, and below
      /// `-y`, or three quarters of `-x` without one.
      @Test func thresholdsUnderLiveConnections() throws {
        let pair = try TwoDirectors()
        let schedulers = [UInt16(80): "rr", 81: "wlc"]
        try pair.ipvsadm("--set 0 1 0")
        for (port, scheduler) in schedulers {
          let service = "-t \(TwoDirectors.vip):\(port)"
          try pair.ipvsadm("-A \(service) -s \(scheduler)")
          for realServer in ["151 -x 4 -y 2", "152 -x 4", "153 -x 2 -y 1", "154"] {
            try pair.ipvsadm("-a \(service) -r 192.168.2.\(realServer)")
          }
        }
        // By service: the real server of each client's port.
        var live: [UInt16: [UInt16: Int]] = [80: [:], 81: [:]]
        func send(_ ports: some Sequence<UInt16>, to service: UInt16, _ flags: TCPFlags...) throws {
          for (port, flags) in ports.flatMap({ port in flags.map { (port, $0) } }) {
            let outcomes = try pair.send(
              TwoDirectors.packet(from: port, to: service, flags: flags))
            #expect(outcomes.kernel.isSame(as: outcomes.martinet), "\(port): \(outcomes)")
            live[service]![port] = flags.contains(.fin) ? nil : outcomes.kernel.realServer
          }
        }
        func counts(_ service: UInt16) -> [Int] {
          [151, 152, 153].map { number in live[service]!.values.count { $0 == number } }
        }
        // Two of each end, at last one of the first, which is spared until then.
        for (round, full) in [[4, 4, 2], [2, 4, 2], [4, 4, 2]].enumerated() {
          for service in schedulers.keys {
            let first = UInt16(100 + round * 100)
            try send(first...first + 19, to: service, .syn, .ack)
            #expect(counts(service) == full, "round \(round) of \(service)")
            for number in 151...153 {
              let ports = live[service]!.filter { $0.value == number }.keys.sorted()
              let count = round == 1 && number == 151 ? 1 : 2
              try send(ports.prefix(count), to: service, [.fin, .ack])
            }
          }
          let left = 1 + live.values.map(\.count).reduce(0, +)
          let areOver = try waitUntil(seconds: 20) {
            let counts = try pair.connectionCounts()
            return counts.kernel == left && counts.martinet == left
          }
          #expect(areOver)
          try pair.compareTables("round \(round)")
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
        // ESTABLISHED 2 s, FIN_WAIT 5 s, CLOSE 10 s; the sentinel's UDP 40 s, SYN_RECV 60 s stay.
        for (second, left) in [(3.2, 4), (6.5, 3), (11.5, 2)] {
          let rest = start + second - monotonicSeconds()
          if rest > 0 { usleep(UInt32(rest * 1e6)) }
          let counts = try pair.connectionCounts()
          #expect(counts.kernel == left && counts.martinet == left, "\(second) s: \(counts)")
        }
        try pair.compareTables()
      }
    #endif
  }
}
