// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// What one worker forwarded to one real server of one service; 32 octets, one writer.
struct RealServerCounters: BitwiseCopyable {
  var packets: UInt64
  /// Octets from the IP header on, as IPVS counts them.
  var bytes: UInt64
  var connections: UInt64
  private var padding: UInt64 = 0
}

/// Counters of one worker that belong to no real server.
enum ForwarderCounter: Int {
  /// Frames forwarded by hash because both lines of their connection were full.
  case unrecorded = 0
  /// SYNs and datagrams that moved an existing record to another real server.
  case rescheduled
  /// Records whose connection became established after its first packet.
  case established
  /// Records freed after their idle time, or with their real server.
  case expired
  case ipv4Connections
  case ipv6Connections
  /// Generation of the snapshot in use.
  case adoptedGeneration
  /// A full sweep began and ended under this generation or a later one.
  case sweptGeneration
  /// Steps of the sweep: one for each turn that swept, at most one a millisecond.
  case sweepSteps
  /// So many of the `RealServerCounters` may have been written: none of a number that no adopted
  /// snapshot had.
  case realServerPlaces
  /// `DropReason`s follow, by raw value.
  case firstDrop

  /// Octets of the frames, by `DropReason`.
  static var firstDropBytes: Int { firstDrop.rawValue &+ 256 }
  /// `SideTraffic` by raw value.
  static var firstSideTraffic: Int { firstDropBytes &+ 256 }
  /// A counter per class of `EvictionAges`.
  static var firstEviction: Int { firstSideTraffic &+ SideTraffic.allCases.count }
  static let count = firstEviction + EvictionAges.classCount
}

/// One writer, any reader: a relaxed load and store compile to one increment in memory.
struct CounterBlock: BitwiseCopyable {
  let base: UnsafeMutablePointer<UInt64>

  @inline(__always) private func cell(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    UnsafeMutableRawPointer(base + index).assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  @inline(__always) func load(_ counter: ForwarderCounter) -> UInt64 {
    cell(counter.rawValue).pointee.load(ordering: .relaxed)
  }

  @inline(__always) func store(_ value: UInt64, to counter: ForwarderCounter) {
    cell(counter.rawValue).pointee.store(value, ordering: .relaxed)
  }

  @inline(__always) func add(_ amount: Int64, to counter: ForwarderCounter) {
    store(load(counter) &+ UInt64(bitPattern: amount), to: counter)
  }

  /// - Parameter bytes: of the frame.
  @inline(__always) func countDrop(_ reason: UInt8, bytes: UInt32) {
    countDrops(reason, packets: 1, bytes: UInt64(bytes))
  }

  /// - Parameter bytes: of the frames.
  @inline(__always) func countDrops(_ reason: UInt8, packets: UInt64, bytes: UInt64) {
    let frames = cell(ForwarderCounter.firstDrop.rawValue &+ Int(reason))
    frames.pointee.store(frames.pointee.load(ordering: .relaxed) &+ packets, ordering: .relaxed)
    let octets = cell(ForwarderCounter.firstDropBytes &+ Int(reason))
    octets.pointee.store(octets.pointee.load(ordering: .relaxed) &+ bytes, ordering: .relaxed)
  }

  func drops(_ reason: DropReason) -> UInt64 {
    cell(ForwarderCounter.firstDrop.rawValue + Int(reason.rawValue)).pointee
      .load(ordering: .relaxed)
  }

  func dropBytes(_ reason: DropReason) -> UInt64 {
    cell(ForwarderCounter.firstDropBytes + Int(reason.rawValue)).pointee.load(ordering: .relaxed)
  }

  @inline(__always) func count(_ kind: SideTraffic) {
    let cell = cell(ForwarderCounter.firstSideTraffic &+ Int(kind.rawValue))
    cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
  }

  func countEviction(silentMilliseconds: UInt32) {
    let index = EvictionAges.index(silentMilliseconds: silentMilliseconds)
    let cell = cell(ForwarderCounter.firstEviction &+ index)
    cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
  }

  var evictions: EvictionAges {
    EvictionAges(
      counts: (0..<EvictionAges.classCount).map {
        cell(ForwarderCounter.firstEviction + $0).pointee.load(ordering: .relaxed)
      })
  }

  func load(_ kind: SideTraffic) -> UInt64 {
    cell(ForwarderCounter.firstSideTraffic + Int(kind.rawValue)).pointee.load(ordering: .relaxed)
  }
}
