// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// One implementation with its own table, rings and frames.
protocol Subject: AnyObject {
  var name: SubjectName { get }
  var kernel: RingKernel { get }
  /// Turns until all of `offer` is received.
  func run(_ offer: Offer, now: Tick)
  /// One turn without packets.
  func turn(now: Tick)
  /// What was decided so far; nil of a subject that decides nothing.
  var decisions: Decisions? { get }
}

/// What came of the packets that were not forwarded by a record.
struct Decisions: Equatable {
  /// Forwarded by hash because the table was full where they belong.
  var unrecorded: UInt64
  /// By `DropReason.allCases`.
  var drops: [UInt64]
  /// The same, octets.
  var dropBytes: [UInt64]
}

enum SubjectName: String {
  case martinet
  case twin = "c-twin"
  case limit = "c-limit"

  /// The function whose calls are the turns, as the linker knows it.
  var turnSymbol: String {
    switch self {
    case .martinet: "$s9DataPlane10WorkerLoopV4turn3nows6UInt32VAA4TickV_tF"
    case .twin: "twin_turn"
    case .limit: "limit_turn"
    }
  }
}

/// The loop as Martinet ships it.
final class MartinetSubject: Subject {
  let name = SubjectName.martinet
  let kernel = RingKernel()
  private var loop: WorkerLoop
  private let view: ForwarderView
  private let snapshot: Snapshot

  init(_ workload: Workload, seed: UInt64) throws {
    var generator = SplitMix(state: seed)
    let isIPv6 = workload.family == .ipv6
    let forwarder = try Forwarder(
      ForwarderConfiguration(
        ipv4Entries: isIPv6 ? 8 : workload.entries, ipv6Entries: isIPv6 ? workload.entries : 8,
        templateEntries: workload.isPersistent ? workload.flows : 8,
        hashKey: HashKey(using: &generator)),
      now: Tick(rawValue: 0))
    snapshot = try Snapshot(Site(workload).specification, generation: 1)
    view = forwarder.view
    loop = WorkerLoop([kernel.memory], forwarder: forwarder)
    loop.adopt(snapshot)
  }

  func run(_ offer: Offer, now: Tick) { Self.run(&loop, offer, now) }

  /// One exclusive access for all turns, as in the worker's thread.
  private static func run(_ loop: inout WorkerLoop, _ offer: Offer, _ now: Tick) {
    offer.run { loop.turn(now: now) }
  }

  func turn(now: Tick) { _ = loop.turn(now: now) }

  var decisions: Decisions? {
    Decisions(
      unrecorded: view.unrecorded, drops: DropReason.allCases.map(view.drops),
      dropBytes: DropReason.allCases.map(view.dropBytes))
  }
}
