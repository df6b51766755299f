// SPDX-License-Identifier: Apache-2.0

/// What a worker's loop has of one interface's queue: its rings, and what it counts there.
///
/// One thread; other threads may read the counters while this value lives.
struct QueueRings: ~Copyable {
  var fill: FillRing
  var completion: CompletionRing
  var receive: ReceiveRing
  var transmit: TransmitRing
  let counters: QueueCounters
  var admission: Admission
  /// Whether the kernel takes nothing to be sent because the interface is down: what is for it and
  /// finds no room is dropped then, and keeps no other interface waiting.
  var isDown = false
  /// Three quarters of the receive ring, but no more than connections can wait for in a flood: 1536
  /// packets, 2 to 5 ms on a veth.
  private let behindLimit: UInt32
  private static let mostBehind: UInt32 = 1536
  private let counterBase: UnsafeMutableRawPointer

  /// Goes on where the shared indices stand.
  init(_ memory: QueueMemory) {
    fill = FillRing(memory.fill)
    completion = CompletionRing(memory.completion)
    receive = ReceiveRing(memory.receive)
    transmit = TransmitRing(memory.transmit)
    admission = Admission(AdmissionCell(memory.admission))
    behindLimit = min(memory.receive.entries / 4 * 3, Self.mostBehind)
    counterBase = .allocate(byteCount: QueueCounters.byteCount, alignment: 64)
    counterBase.initializeMemory(as: UInt8.self, repeating: 0, count: QueueCounters.byteCount)
    counters = QueueCounters(counterBase)
  }

  deinit { counterBase.deallocate() }

  /// Whether so many packets wait that the next ones may be lost, or be too late.
  @inline(__always) var isBehind: Bool { receive.waiting >= behindLimit }

  /// How many packets may be received, `limit` at most, so that there is room for all of them here.
  @inline(__always) mutating func room(_ limit: UInt32) -> UInt32 {
    isDown ? limit : min(limit, transmit.reserve(limit))
  }

  /// Puts a packet into the transmit ring; false where it has no room.
  mutating func send(_ packet: FrameDescriptor) -> Bool {
    guard transmit.reserve(1) > 0 else { return false }
    transmit.write(packet, at: 0)
    transmit.submit(1)
    return true
  }
}
