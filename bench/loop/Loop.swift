// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import DataPlane
import Foundation

/// ns/packet of the whole loop in process: rings, decision, rings, on hits.
@main struct Loop: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "loop",
    abstract: "ns/packet of the packet loop in process, Martinet beside its C twin.")

  @Flag(help: "A few thousand packets per case: shows that it works, measures nothing.")
  var smoke = false

  @Option(help: "Write the rows to this file.")
  var json: String?

  @Option(help: "Rounds; the subjects take turns within each.")
  var rounds = 9

  private static let seed: UInt64 = 20_260_101
  /// Packets handed in at once, half a receive ring.
  private static let burst = 1024

  func run() throws {
    let cases = smoke ? [("hits-1k", 1000)] : [("hits-1k", 1000), ("hits-1m", 1_000_000)]
    let packets = smoke ? 1 << 14 : 1 << 21
    var rows: [Row] = []
    for (name, flows) in cases {
      rows += try measure(name, Flows(count: flows, seed: Self.seed), packets)
    }
    print(rows.table)
    if let json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      try encoder.encode(rows).write(to: URL(fileURLWithPath: json))
    }
  }

  private func measure(_ name: String, _ flows: Flows, _ packets: Int) throws -> [Row] {
    var entries = 8
    while entries < flows.count * 4 { entries *= 2 }
    let subjects: [any Subject] = [
      try MartinetSubject(entries: entries, seed: Self.seed),
      try TwinSubject(entries: entries, seed: Self.seed),
    ]
    progress("\(name): opening \(flows.count) connections in each subject")
    try verify(subjects, flows)
    var samples: [[Double]] = subjects.map { _ in [] }
    for round in 0..<(smoke ? 1 : rounds) {
      for (index, subject) in subjects.enumerated() {
        samples[index].append(time(subject, flows, packets))
      }
      progress(
        "\(name): round \(round + 1) of \(rounds): "
          + zip(subjects, samples).map {
            "\($0.name) \(String(format: "%.2f", $1.last ?? 0)) ns"
          }.joined(separator: ", "))
    }
    let ratio = median(zip(samples[0], samples[1]).map { $0 / $1 })
    return subjects.indices.map { index in
      Row(
        case: name, subject: subjects[index].name, metric: "time per packet", unit: "ns",
        median: median(samples[index]), low: samples[index].min() ?? 0,
        high: samples[index].max() ?? 0, samples: samples[index].count,
        peer: index == 0 ? subjects[1].name : nil, ratio: index == 0 ? ratio : nil)
    }
  }

  /// Opens every connection (SYN, ACK) and sends one more packet of each, and checks that both
  /// subjects sent the same octets in the same order.
  private func verify(_ subjects: [any Subject], _ flows: Flows) throws {
    for subject in subjects {
      subject.kernel.hashesSent = true
      for flags in [Flows.synFlag, Flows.ackFlag, Flows.ackFlag] {
        forEachBurst(flows.count) { first, count in
          feed(subject, flows, first, count, flags)
          subject.run(now: Self.tick(first))
          subject.kernel.drain()
        }
      }
      subject.kernel.hashesSent = false
    }
    guard subjects[0].kernel.sentHash == subjects[1].kernel.sentHash,
      subjects.allSatisfy({ $0.kernel.sentPackets == 3 * flows.count })
    else {
      throw ValidationError(
        "the subjects sent different packets: "
          + subjects.map { "\($0.name) \($0.kernel.sentPackets)" }.joined(separator: ", "))
    }
  }

  /// ns/packet over `packets` hits; only the subject's turns are timed.
  private func time(_ subject: any Subject, _ flows: Flows, _ packets: Int) -> Double {
    let before = subject.kernel.sentPackets
    var nanoseconds: UInt64 = 0
    forEachBurst(packets) { first, count in
      feed(subject, flows, first, count, Flows.ackFlag)
      let start = DispatchTime.now().uptimeNanoseconds
      subject.run(now: Self.tick(first))
      nanoseconds += DispatchTime.now().uptimeNanoseconds - start
      subject.kernel.drain()
    }
    precondition(subject.kernel.sentPackets - before == packets, "\(subject.name) lost packets")
    return Double(nanoseconds) / Double(packets)
  }

  private func feed(
    _ subject: any Subject, _ flows: Flows, _ first: Int, _ count: Int, _ flags: UInt8
  ) {
    var position = first
    subject.kernel.receive(count) { frame in
      defer { position += 1 }
      return flows.write(position, flags: flags, to: frame)
    }
  }

  private func forEachBurst(_ packets: Int, _ body: (Int, Int) -> Void) {
    for first in stride(from: 0, to: packets, by: Self.burst) {
      body(first, min(Self.burst, packets - first))
    }
  }

  /// A clock that goes on by a millisecond every 64 Ki packets, the same for every subject.
  private static func tick(_ packet: Int) -> Tick { Tick(rawValue: UInt32(packet >> 16)) }

  private func progress(_ line: String) {
    FileHandle.standardError.write(Data((line + "\n").utf8))
  }
}
