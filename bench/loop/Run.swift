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

  var outcome: Outcome {
    Outcome(
      sentPackets: subject.kernel.sentPackets, sentHash: subject.kernel.sentHash,
      unrecorded: subject.unrecorded, drops: DropReason.allCases.map(subject.drops),
      dropBytes: DropReason.allCases.map(subject.dropBytes))
  }

  private func packet(_ position: Int, _ flags: UInt8, _ frame: UnsafeMutableRawPointer) -> UInt32 {
    traffic.write(order[position % order.count], flags: flags, to: frame)
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
      subject.kernel.drain()
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
struct Outcome: Equatable, CustomStringConvertible {
  var sentPackets: Int
  var sentHash: UInt64
  var unrecorded: UInt64
  /// By `DropReason.allCases`.
  var drops: [UInt64]
  /// The same.
  var dropBytes: [UInt64]

  var droppedPackets: Int { Int(drops.reduce(0, +)) }

  var description: String {
    let reasons = zip(DropReason.allCases, drops).filter { $1 > 0 }.map { "\($0) \($1)" }
    return "sent \(sentPackets) (hash \(String(sentHash, radix: 16))), unrecorded \(unrecorded), "
      + "dropped [\(reasons.joined(separator: ", "))], \(dropBytes.reduce(0, +)) octets"
  }
}

/// What one of the system's clocks says (clock_gettime(2)).
func nanoseconds(_ clock: clockid_t) -> UInt64 {
  var time = timespec()
  clock_gettime(clock, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
