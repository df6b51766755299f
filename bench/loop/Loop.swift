// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import DataPlane
import Foundation

@main struct Loop: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "loop",
    abstract: "The packet loop in process, Martinet beside its C twin and the limit.",
    subcommands: [Measure.self, Repeat.self, Scale.self], defaultSubcommand: Measure.self)

  static let seed: UInt64 = 20_260_101
}

/// ns/packet and instructions per packet of the whole loop: rings, decision, rings.
struct Measure: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Every case, the subjects taking turns; a table, and a JSON file where asked for.")

  @OptionGroup var options: Options
  @Option(name: .customLong("case"), help: "Only this case; may be repeated.")
  var chosen: [String] = []

  func validate() throws {
    let cases = Workload.all.map(\.name) + [Self.besideChecks]
    guard let unknown = chosen.first(where: { !cases.contains($0) }) else { return }
    throw ValidationError(
      "no case is called '\(unknown)': give one of \(cases.joined(separator: ", "))")
  }

  func run() throws {
    var rows: [Row] = []
    for workload in Workload.all where isChosen(workload.name) {
      rows += try measure(options.smoke ? workload.smoke : workload)
    }
    if isChosen(Self.besideChecks) { rows += try measureBesideChecks() }
    let counted = try countInstructions()
    rows += counted
    print("\(options.origin.heading)\n\(rows.table)")
    if let json = options.json { try rows.write(to: json) }
    try gate(counted)
  }

  private func isChosen(_ name: String) -> Bool { chosen.isEmpty || chosen.contains(name) }

  /// Times one case in all subjects; every pass must have the same outcome in each.
  private func measure(_ workload: Workload) throws -> [Row] {
    progress("\(workload.name): preparing")
    let runs = try Run.prepared(workload, workload.subjects)
    // A pass that is not timed warms caches and branches up.
    let (warm, packets) = passes(workload)
    for run in runs { run.pass(warm) }
    var samples: [[Double]] = runs.map { _ in [] }
    for _ in 0..<options.roundCount {
      for (index, run) in runs.enumerated() {
        if workload.kind == .new { run.rest() }
        let before = run.outcome
        samples[index].append(Double(run.pass(packets)) / Double(packets))
        try check(workload, before, run.outcome, packets)
      }
      guard runs.allSatisfy({ $0.outcome.isSame(as: runs[0].outcome) }) else {
        throw ValidationError(
          "\(workload.name): the subjects did different things:\n"
            + runs.map { "\($0.subject.name): \($0.outcome)" }.joined(separator: "\n"))
      }
    }
    for (subject, values) in zip(workload.subjects, samples) {
      progress("  \(subject.rawValue) \(String(format: "%.2f", median(values))) ns")
    }
    let isHuge = runs.contains { ($0.subject as? TwinSubject)?.isHuge ?? false }
    return rows(
      workload, "time per packet", unit: "ns", samples, pages: isHuge ? "huge" : "ordinary")
  }

  /// A row per subject, of Martinet one per peer.
  ///
  /// - Parameter samples: by subject, one per round.
  private func rows(
    _ workload: Workload, _ metric: String, unit: String, _ samples: [[Double]],
    pages: String? = nil
  ) -> [Row] {
    func row(_ subject: Int, peer: Int? = nil) -> Row {
      let values = samples[subject]
      return Row(
        case: workload.name, subject: workload.subjects[subject].rawValue, metric: metric,
        unit: unit, median: median(values), low: values.min() ?? 0, high: values.max() ?? 0,
        samples: values.count, peer: peer.map { workload.subjects[$0].rawValue },
        ratio: peer.map { median(zip(values, samples[$0]).map { $0 / $1 }) }, pages: pages,
        origin: options.origin)
    }
    let peers = samples.indices.dropFirst()
    return (peers.isEmpty ? [row(0)] : peers.map { row(0, peer: $0) }) + peers.map { row($0) }
  }

  /// Packets of the warm-up and of each timed pass.
  private func passes(_ workload: Workload) -> (warm: Int, timed: Int) {
    if workload.kind == .new { return (workload.flows, workload.flows) }
    return options.smoke ? (1 << 12, 1 << 12) : (1 << 18, 1 << 21)
  }

  /// Every packet must have met the fate that its kind deserves.
  private func check(
    _ workload: Workload, _ before: Outcome, _ after: Outcome, _ packets: Int
  ) throws {
    var expected = [Int](repeating: 0, count: DropReason.allCases.count)
    switch workload.kind {
    case .hits, .new, .flood: break
    case .stray:
      // Where both lines are full a stranger may be one who was let in without a record.
      let unrecorded = after.decisions!.unrecorded - before.decisions!.unrecorded
      expected[DropReason.allCases.firstIndex(of: .noConnection)!] = packets - Int(unrecorded)
    case .garbage:
      for position in 0..<packets {
        let reason = Traffic.garbage[position % Traffic.garbage.count]
        expected[DropReason.allCases.firstIndex(of: reason)!] += 1
      }
    }
    var dropped = expected
    if let now = after.decisions, let then = before.decisions {
      dropped = zip(now.drops, then.drops).map { Int($0 - $1) }
    }
    let sent = after.sent.count - before.sent.count
    guard dropped == expected, sent + expected.reduce(0, +) == packets else {
      throw ValidationError(
        "\(workload.name): \(packets) packets were not treated as they should be: "
          + "before \(before); after \(after)")
    }
  }

  private func countInstructions() throws -> [Row] {
    let counter = try InstructionCounter()
    defer { counter.removeFiles() }
    let workloads = InstructionCounter.workloads(smoke: options.smoke)
    return try workloads.filter { isChosen($0.name) }.flatMap { workload in
      progress("\(workload.name): counting instructions")
      let counts = try workload.subjects.map { [try counter.count(workload, $0)] }
      return rows(workload, "instructions per packet", unit: "instructions", counts)
    }
  }

  private func gate(_ counted: [Row]) throws {
    let limit = InstructionCounter.ipv4HitLimit
    guard let hit = counted.first(where: { $0.case == "hits-ipv4-1k" }), hit.median > limit
    else { return }
    throw ValidationError(
      "an IPv4 hit takes \(hit.median) instructions, more than \(limit): "
        + "compare callgrind's output before and after the last change to the packet path")
  }

  func progress(_ line: String) {
    FileHandle.standardError.write(Data((line + "\n").utf8))
  }
}
