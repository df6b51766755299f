// SPDX-License-Identifier: Apache-2.0

/// The packet loop of one queue, without thread or system call: one `turn` after another.
///
/// There are at most as many frames as the fill ring has entries, so a frame is always in exactly
/// one of fill, receive, transmit, the kernel's hands, completion and the pen of those that are
/// held, and none needs a pool. No more is received than the transmit ring can take, so that no
/// frame is ever lost between them.
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
  /// Internal for tests.
  private(set) var pen: FramePen
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
    pen = FramePen(frameCount: Int(memory.frameBytes / UInt64(memory.chunkBytes)))
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

  /// One turn: reap what was sent, receive a batch, decide it, send, hold or free each frame, look
  /// after those that are held, sweep.
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
      dispatch(batch.entries, batch.count, now)
      receive.release(batch.count)
    } else if limit == 0 {
      counters.add(1, to: .transmitFull)
    }
    if _slowPath(isHolding) { reviewHeld(now: now) }
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

  /// Packets that the kernel has not taken yet.
  public var waiting: UInt32 { transmit.pending }

  /// Whether the next turn has packets.
  var hasPackets: Bool { !receive.isEmpty }

  /// Whether frames wait for others to decide them.
  public var isHolding: Bool { pen.count > 0 }

  /// Packets that are forwarded, as all of a batch mostly are, go to the transmit ring as they lie;
  /// the others, and what follows them or the ring's end, are dispatched out of line.
  @inline(__always)
  private mutating func dispatch(
    _ descriptors: UnsafePointer<FrameDescriptor>, _ count: UInt32, _ now: Tick
  ) {
    let row = transmit.row(count)
    var sent = 0
    while sent < Int(row.count), _fastPath(verdicts[sent].isForward) {
      FrameDescriptor.transmit(descriptors + sent, in: row.entries + sent)
      sent &+= 1
    }
    counters.add(1, to: .batches)
    counters.countBatch(of: count)
    counters.add(UInt64(count), to: .received)
    counters.add(UInt64(sent), to: .forwarded)
    transmit.submit(UInt32(truncatingIfNeeded: sent))
    if _slowPath(sent < Int(count)) { dispatchRest(descriptors, from: sent, to: Int(count), now) }
  }

  /// Forwarded packets and answers go to the transmit ring, held ones into the pen, all others back
  /// to the fill ring.
  @inline(never)
  private mutating func dispatchRest(
    _ descriptors: UnsafePointer<FrameDescriptor>, from first: Int, to end: Int, _ now: Tick
  ) {
    var (sent, answered, dropped, held) = (UInt32(0), UInt32(0), UInt32(0), false)
    _ = fill.reserve(UInt32(truncatingIfNeeded: end &- first))
    let (toSend, toFill, verdicts) = (transmit.vacancies, fill.vacancies, verdicts)
    let chunkMask = chunkMask
    var index = first
    while index < end {
      let (descriptor, verdict) = (descriptors[index], verdicts[index])
      index &+= 1
      if verdict.isDrop {
        toFill.write(descriptor.address & chunkMask, at: dropped)
        dropped &+= 1
      } else if verdict == .hold {
        held = true
      } else {
        let length = verdict.isForward ? descriptor.length : verdict.answerBytes
        toSend.write(FrameDescriptor(address: descriptor.address, length: length), at: sent)
        sent &+= 1
        answered &+= verdict.isForward ? 0 : 1
      }
    }
    transmit.submit(sent)
    fill.submit(dropped)
    counters.add(UInt64(sent &- answered), to: .forwarded)
    counters.add(UInt64(answered), to: .answered)
    counters.add(UInt64(dropped), to: .dropped)
    if held { hold(descriptors, from: first, to: end, now) }
  }

  /// Puts the held frames of a batch into the pen, each counted; the oldest make room if need be.
  private mutating func hold(
    _ descriptors: UnsafePointer<FrameDescriptor>, from first: Int, to end: Int, _ now: Tick
  ) {
    for index in first..<end where verdicts[index] == .hold {
      counters.add(1, to: .held)
      if pen.isFull { giveUpOldest(1, .fragmentPenFull) }
      pen.admit(descriptors[index], now: now)
    }
  }

  /// Decides the held frames anew where that may help, in the order in which they came, and gives
  /// those up whose time is over.
  @inline(never) private mutating func reviewHeld(now: Tick) {
    guard pen.isDue(firstFragments: forwarder.firstFragments, now: now) else { return }
    giveUpOldest(pen.overdue(at: now), .fragmentUnmatched)
    let asked = Int(min(transmit.reserve(UInt32(pen.count)), UInt32(pen.count)))
    forwarder.forward(
      pen.descriptors, count: asked, frames: memory.frames, frameBytes: memory.frameBytes,
      now: now, verdicts: verdicts)
    var (sent, dropped, kept) = (UInt32(0), UInt32(0), 0)
    _ = fill.reserve(UInt32(pen.count))
    for place in 0..<pen.count {
      let descriptor = pen.descriptors[place]
      if place >= asked || verdicts[place] == .hold {
        pen.move(place, to: kept)
        kept &+= 1
      } else if verdicts[place].isForward {
        send(descriptor, at: sent)
        sent &+= 1
      } else {
        fill.write(chunk(of: descriptor.address), at: dropped)
        dropped &+= 1
      }
    }
    pen.shorten(to: kept)
    transmit.submit(sent)
    fill.submit(dropped)
    counters.add(UInt64(sent), to: .forwarded)
    counters.add(UInt64(dropped), to: .dropped)
    counters.add(UInt64(sent &+ dropped), to: .released)
  }

  /// Drops the first `count` frames of the pen.
  private mutating func giveUpOldest(_ count: Int, _ reason: DropReason) {
    guard count > 0 else { return }
    _ = fill.reserve(UInt32(count))
    for place in 0..<count {
      forwarder.countDrop(reason)
      fill.write(chunk(of: pen.descriptors[place].address), at: UInt32(place))
    }
    fill.submit(UInt32(count))
    pen.removeFirst(count)
    counters.add(UInt64(count), to: .dropped)
  }

  /// Gives all held frames up: nothing comes any more that could decide them.
  mutating func abandonHeld() { giveUpOldest(pen.count, .fragmentUnmatched) }

  /// Sent frames go straight back to the fill ring, one row of either ring in a turn.
  @inline(__always) private mutating func reapCompletions() {
    guard !completion.isEmpty else { return }
    let row = fill.row(.max)
    let batch = completion.peek(row.count)
    _ = fill.reserve(batch.count)
    for index in 0..<Int(batch.count) {
      row.entries[index] = chunk(of: batch.entries[index])
    }
    fill.submit(batch.count)
    completion.release(batch.count)
    counters.add(UInt64(batch.count), to: .completed)
  }

  /// Puts a received packet into the transmit ring.
  private func send(_ packet: FrameDescriptor, at offset: UInt32) {
    transmit.write(FrameDescriptor(address: packet.address, length: packet.length), at: offset)
  }

  /// The address of the frame in which `address` lies.
  @inline(__always) private func chunk(of address: UInt64) -> UInt64 { address & chunkMask }

  @inline(__always) private var chunkMask: UInt64 { ~UInt64(memory.chunkBytes &- 1) }

  private mutating func fillAll() {
    let frames = UInt32(memory.frameBytes / UInt64(memory.chunkBytes))
    precondition(fill.reserve(frames) >= frames, "more frames than fill ring entries")
    for frame in 0..<frames {
      fill.write(UInt64(frame) * UInt64(memory.chunkBytes), at: frame)
    }
    fill.submit(frames)
  }
}
