// SPDX-License-Identifier: Apache-2.0

/// The packet loop of one queue, without thread or system call: one `turn` after another.
///
/// There are at most as many frames as the fill ring has entries, so a frame is always in exactly
/// one of fill, receive, transmit, the kernel's hands and completion, and none needs a pool. No
/// more is received than the transmit ring can take, so that no frame is ever lost between them.
public struct WorkerLoop: ~Copyable {
  /// System calls that a turn asks for.
  public struct Wakeups: OptionSet, Sendable {
    public var rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// sendto(2): packets wait in the transmit ring.
    public static let transmit = Wakeups(rawValue: 1)
    /// recvfrom(2): the driver (zero copy) waits for frames in the fill ring.
    public static let fill = Wakeups(rawValue: 2)
  }

  public let counters: QueueCounters
  private let forwarder: Forwarder
  private let memory: QueueMemory
  private var fill: FillRing
  private var completion: CompletionRing
  private var receive: ReceiveRing
  private var transmit: TransmitRing
  private let verdicts: UnsafeMutablePointer<Verdict>
  private let counterBase: UnsafeMutableRawPointer

  /// Takes the queue over and gives every frame to the kernel. The fill ring must be empty and all
  /// frames free.
  public init(_ memory: QueueMemory, forwarder: consuming Forwarder) {
    self.memory = memory
    self.forwarder = forwarder
    fill = FillRing(memory.fill)
    completion = CompletionRing(memory.completion)
    receive = ReceiveRing(memory.receive)
    transmit = TransmitRing(memory.transmit)
    let counterMemory = UnsafeMutableRawPointer.allocate(
      byteCount: QueueCounters.byteCount, alignment: 64)
    counterMemory.initializeMemory(as: UInt8.self, repeating: 0, count: QueueCounters.byteCount)
    counters = QueueCounters(counterMemory)
    counterBase = counterMemory
    verdicts = .allocate(capacity: Forwarder.batchLimit)
    fillAll()
  }

  deinit {
    verdicts.deallocate()
    counterBase.deallocate()
  }

  /// What other threads may read while this value lives.
  public var view: ForwarderView { forwarder.view }

  /// As `Forwarder.join`.
  func join(_ peers: [ForwarderView]) { forwarder.join(peers) }

  /// Forwards by `snapshot` from the next turn on; the caller keeps it alive.
  public func adopt(_ snapshot: Snapshot) { forwarder.adopt(snapshot) }

  func adopt(_ content: UnsafePointer<SnapshotContent>) { forwarder.adopt(content) }

  /// One turn: reap what was sent, receive a batch, decide it, send or free each frame, sweep.
  ///
  /// - Returns: how many packets were received.
  public mutating func turn(now: Tick) -> UInt32 {
    reapCompletions()
    let room = transmit.reserve(UInt32(Forwarder.batchLimit))
    let limit = min(room, UInt32(Forwarder.batchLimit))
    let batch = receive.peek(limit)
    if batch.count > 0 {
      forwarder.forward(
        batch.entries, count: Int(batch.count), frames: memory.frames,
        frameBytes: memory.frameBytes, now: now, verdicts: verdicts)
      dispatch(batch.entries, batch.count)
      receive.release(batch.count)
    } else if limit == 0 {
      counters.add(1, to: .transmitFull)
    }
    forwarder.sweep(now: now)
    return batch.count
  }

  /// The system calls that are due after a turn.
  public var wakeups: Wakeups {
    var wakeups: Wakeups = []
    if transmit.pending > 0, transmit.needsWakeup { wakeups.insert(.transmit) }
    if fill.needsWakeup { wakeups.insert(.fill) }
    return wakeups
  }

  /// Whether packets wait to be taken by the kernel.
  public var isSending: Bool { transmit.pending > 0 }

  /// Forwarded packets and answers go to the transmit ring as they lie, all others back to the fill
  /// ring.
  @inline(__always)
  private mutating func dispatch(_ descriptors: UnsafePointer<FrameDescriptor>, _ count: UInt32) {
    var (sent, answered, dropped) = (UInt32(0), UInt32(0), UInt32(0))
    _ = fill.reserve(count)
    for index in 0..<Int(count) {
      let descriptor = descriptors[index]
      let answerBytes = verdicts[index].answerBytes
      if _fastPath(verdicts[index].isForward) {
        transmit.write(
          FrameDescriptor(address: descriptor.address, length: descriptor.length), at: sent)
        sent &+= 1
      } else if answerBytes > 0 {
        transmit.write(FrameDescriptor(address: descriptor.address, length: answerBytes), at: sent)
        sent &+= 1
        answered &+= 1
      } else {
        fill.write(chunk(of: descriptor.address), at: dropped)
        dropped &+= 1
      }
    }
    if sent > 0 { transmit.submit(sent) }
    if dropped > 0 { fill.submit(dropped) }
    counters.add(UInt64(count), to: .received)
    counters.add(UInt64(sent &- answered), to: .forwarded)
    if _slowPath(answered > 0) { counters.add(UInt64(answered), to: .answered) }
    counters.add(UInt64(dropped), to: .dropped)
    counters.add(1, to: .batches)
  }

  /// Sent frames go straight back to the fill ring.
  @inline(__always) private mutating func reapCompletions() {
    let batch = completion.peek(.max)
    guard batch.count > 0 else { return }
    _ = fill.reserve(batch.count)
    for index in 0..<batch.count {
      fill.write(chunk(of: batch.entries[Int(index)]), at: index)
    }
    fill.submit(batch.count)
    completion.release(batch.count)
    counters.add(UInt64(batch.count), to: .completed)
  }

  /// The address of the frame in which `address` lies.
  @inline(__always) private func chunk(of address: UInt64) -> UInt64 {
    address & ~UInt64(memory.chunkBytes &- 1)
  }

  private mutating func fillAll() {
    let frames = UInt32(memory.frameBytes / UInt64(memory.chunkBytes))
    precondition(fill.reserve(frames) >= frames, "more frames than fill ring entries")
    for frame in 0..<frames {
      fill.write(UInt64(frame) * UInt64(memory.chunkBytes), at: frame)
    }
    fill.submit(frames)
  }
}
