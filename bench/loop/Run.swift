// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// One subject under one workload, with a clock of its own that goes on with its packets.
final class Run {
  let subject: any Subject
  private let workload: Workload
  private let traffic: Traffic
  private let order: [UInt32]
  private var packets = 0
  private var milliseconds: UInt32 = 0
  private var sent = SentPackets()

  /// Packets staged at once, half a receive ring.
  private static let burst = 1024
  /// A millisecond of the clock: 15 ns per packet.
  private static let packetsPerMillisecond = 1 << 16

  /// - Parameter order: all connections, in the order in which their packets come.
  init(_ subject: any Subject, _ workload: Workload, order: [UInt32]) {
    self.subject = subject
    self.workload = workload
    self.order = order
    traffic = Traffic(workload)
  }

  /// The runs of these subjects, their tables as the case begins. The limit follows a twin, whose
  /// memory it uses.
  static func prepared(_ workload: Workload, _ names: [SubjectName]) throws -> [Run] {
    let order = order(workload, seed: Loop.seed)
    var runs: [Run] = []
    for name in names {
      switch name {
      case .martinet:
        runs.append(Run(try MartinetSubject(workload, seed: Loop.seed), workload, order: order))
      case .twin:
        runs.append(Run(try TwinSubject(workload, seed: Loop.seed), workload, order: order))
      case .limit:
        guard let twin = runs.last else { preconditionFailure("the limit follows a twin") }
        runs.append(try twin.limit())
        continue
      }
      runs.last?.prepare()
    }
    return runs
  }

  /// The limit of this run of the twin, from where it has come to.
  private func limit() throws -> Run {
    guard let twin = subject as? TwinSubject else { preconditionFailure("the limit is a twin's") }
    var frame = [UInt8](repeating: 0, count: Int(RingKernel.chunkBytes))
    let flows = workload.kind == .hits ? order : []
    let records = try flows.map { flow in
      try frame.withUnsafeMutableBytes { frame in
        try twin.record(
          of: frame.baseAddress!,
          count: traffic.write(flow, flags: Traffic.ack, to: frame.baseAddress!))
      }
    }
    let run = Run(LimitSubject(twin, records: records), workload, order: order)
    (run.milliseconds, run.sent) = (milliseconds, sent)
    return run
  }

  /// Connections in a fixed random order, so that no packet finds its neighbour's line in a cache:
  /// the worst case.
  static func order(_ workload: Workload, seed: UInt64) -> [UInt32] {
    var generator = SplitMix(state: seed)
    return (0..<UInt32(workload.flows)).shuffled(using: &generator)
  }

  /// Brings the table into the state that the case begins with.
  func prepare() {
    switch workload.kind {
    case .hits:
      send(workload.flows) { self.packet($0, Traffic.syn, $1) }
      for _ in 0..<2 { send(workload.flows) { self.packet($0, Traffic.ack, $1) } }
    case .stray:
      for flags in [Traffic.syn, Traffic.ack] {
        send(workload.flows) { self.packet($0, flags, $1) }
      }
    case .flood:
      // Three connections per entry leave hardly a pair of lines with a vacant one.
      send(workload.entries * 3) { self.strange($0, Traffic.syn, $1) }
    case .new, .garbage:
      break
    }
  }

  /// Sends `count` packets of the case; returns the nanoseconds of processor that the subject's
  /// turns took.
  @discardableResult func pass(_ count: Int) -> UInt64 {
    switch workload.kind {
    case .hits: send(count) { self.packet($0, Traffic.ack, $1) }
    case .new: send(count) { self.packet($0, Traffic.syn, $1) }
    case .flood:
      send(count) { self.strange($0 + 3 * self.workload.entries, Traffic.syn, $1) }
    case .stray: send(count) { self.strange($0 % self.order.count, Traffic.ack, $1) }
    case .garbage: send(count) { self.traffic.writeGarbage($0, to: $1) }
    }
  }

  /// Lets all connections that are not established expire and be swept.
  func rest() {
    milliseconds += 61_000
    for _ in 0..<5000 {
      milliseconds += 1
      subject.turn(now: Tick(rawValue: milliseconds))
    }
  }

  var outcome: Outcome { Outcome(sent: sent, decisions: subject.decisions) }

  private func packet(_ position: Int, _ flags: UInt8, _ frame: UnsafeMutableRawPointer) -> UInt32 {
    defer { (subject as? LimitSubject)?.mark(frame, position) }
    return traffic.write(order[position % order.count], flags: flags, to: frame)
  }

  /// A packet of a connection that is not in `order`.
  private func strange(_ number: Int, _ flags: UInt8, _ frame: UnsafeMutableRawPointer) -> UInt32 {
    traffic.write(UInt32(truncatingIfNeeded: order.count + number), flags: flags, to: frame)
  }

  @discardableResult private func send(
    _ count: Int, _ write: (Int, UnsafeMutableRawPointer) -> UInt32
  ) -> UInt64 {
    var nanoseconds: UInt64 = 0
    var position = 0
    while position < count {
      let portion = min(Self.burst, count - position)
      subject.kernel.stage(portion) { frame in
        defer { position += 1 }
        return write(position, frame)
      }
      let offer = subject.kernel.offer(batch: workload.batch)
      let now = Tick(rawValue: milliseconds)
      let start = Self.processorNanoseconds
      subject.run(offer, now: now)
      nanoseconds += Self.processorNanoseconds - start
      sent = subject.kernel.drain(after: sent)
      tick(portion)
    }
    return nanoseconds
  }

  /// What this thread has had of a processor: a neighbour that takes it away for a while is not in
  /// the figures. The system call adds 0.1 to 0.2 ns per packet.
  static var processorNanoseconds: UInt64 { nanoseconds(CLOCK_THREAD_CPUTIME_ID) }

  private func tick(_ count: Int) {
    packets += count
    milliseconds += UInt32(packets / Self.packetsPerMillisecond)
    packets %= Self.packetsPerMillisecond
  }
}

/// What came of the packets so far; must be equal in all subjects.
struct Outcome: CustomStringConvertible {
  var sent: SentPackets
  /// nil of the limit.
  var decisions: Decisions?

  /// The limit has no record for what went by hash, and sends other octets then.
  func isSame(as other: Outcome) -> Bool {
    if let decisions = other.decisions, self.decisions != nil {
      return sent == other.sent && self.decisions == decisions
    }
    let isRecorded = (decisions ?? other.decisions)?.unrecorded == 0
    return isRecorded ? sent == other.sent : sent.count == other.sent.count
  }

  var description: String {
    let sent = "sent \(sent.count) (hash \(String(sent.hash, radix: 16)))"
    guard let decisions else { return sent }
    let reasons = zip(DropReason.allCases, decisions.drops).filter { $1 > 0 }
      .map { "\($0) \($1)" }
    return sent
      + ", unrecorded \(decisions.unrecorded), dropped [\(reasons.joined(separator: ", "))], "
      + "\(decisions.dropBytes.reduce(0, +)) octets"
  }
}

/// What one of the system's clocks says (clock_gettime(2)).
func nanoseconds(_ clock: clockid_t) -> UInt64 {
  var time = timespec()
  clock_gettime(clock, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
