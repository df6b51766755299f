// SPDX-License-Identifier: Apache-2.0

/// The packet loop of one queue of every interface, without thread or system call: one `turn` after
/// another.
///
/// A frame's home is the interface that receives into it, by its address. No interface has more
/// frames than its fill ring has entries, so a frame is always in exactly one of its home's fill
/// and receive ring, a transmit or completion ring or the kernel's hands between these two, and the
/// pen of those that are held, and none needs a pool. No more is received than every transmit ring
/// can take, so that no frame is ever lost between them; one whose interface is down keeps nobody
/// waiting.
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

  /// Interfaces, by `EgressIndex`.
  public let interfaceCount: Int
  let forwarder: Forwarder
  let frames: UnsafeMutableRawPointer
  let frameBytes: UInt64
  let chunkMask: UInt64
  /// Of the frames of one interface: log₂ of octets.
  private let homeShift: UInt64
  let queues: UnsafeMutablePointer<QueueRings>
  /// Internal for tests.
  var pen: FramePen
  let verdicts: UnsafeMutablePointer<Verdict>

  /// Takes the queues over and gives every frame to the kernel. The fill rings must be empty and
  /// all frames free.
  ///
  /// - Parameter queues: of each interface, by `EgressIndex`: at least one, with the same frames,
  ///   and of those of each interface a power of two.
  public init(_ queues: [QueueMemory], forwarder: consuming Forwarder) {
    let (memory, count) = (queues[0], UInt64(queues.count))
    let homeBytes = memory.frameBytes / count
    precondition(queues.allSatisfy { $0.frames == memory.frames }, "the queues share their frames")
    precondition(homeBytes.nonzeroBitCount == 1 && homeBytes * count == memory.frameBytes)
    self.forwarder = forwarder
    interfaceCount = queues.count
    frames = memory.frames
    frameBytes = memory.frameBytes
    chunkMask = ~UInt64(memory.chunkBytes - 1)
    homeShift = UInt64(homeBytes.trailingZeroBitCount)
    self.queues = .allocate(capacity: queues.count)
    for (index, queue) in queues.enumerated() {
      (self.queues + index).initialize(to: QueueRings(queue))
    }
    pen = FramePen(frameCount: Int(memory.frameBytes / UInt64(memory.chunkBytes)))
    verdicts = .allocate(capacity: Forwarder.batchLimit)
    fillAll()
  }

  deinit {
    verdicts.deallocate()
    queues.deinitialize(count: interfaceCount)
    queues.deallocate()
  }

  /// What other threads may read while this value lives.
  public var view: ForwarderView { forwarder.view }

  /// What is counted of an interface, which any thread may read while this value lives.
  public func counters(of interface: Int) -> QueueCounters { queues[interface].counters }

  /// As `Forwarder.join`.
  func join(_ peers: [ForwarderView]) { forwarder.join(peers) }

  /// Forwards by `snapshot` from the next turn on; the caller keeps it alive.
  public func adopt(_ snapshot: Snapshot) {
    precondition(snapshot.egressCount <= interfaceCount, "real servers are where no queue is")
    forwarder.adopt(snapshot)
  }

  /// The same; its egresses are interfaces of this loop.
  func adopt(_ content: UnsafePointer<SnapshotContent>) { forwarder.adopt(content) }

  /// One turn: of each interface reap what was sent, receive a batch, decide it, send, hold or free
  /// each frame; look after those that are held; sweep.
  ///
  /// - Returns: how many packets were received.
  public mutating func turn(now: Tick) -> UInt32 {
    let received = _fastPath(interfaceCount == 1) ? receive(by: 0, now) : receiveByAll(now)
    if _slowPath(isHolding) { reviewHeld(now: now) }
    forwarder.sweep(now: now)
    return received
  }

  /// Apart, so that a turn of the only interface has no others to reckon with.
  @inline(never)
  private mutating func receiveByAll(_ now: Tick) -> UInt32 {
    var received: UInt32 = 0
    for interface in 0..<interfaceCount { received &+= receive(by: interface, now) }
    return received
  }

  @inline(__always)
  private mutating func receive(by interface: Int, _ now: Tick) -> UInt32 {
    let queue = queues + interface
    reapCompletions(queue)
    let limit = room
    let batch = queue.pointee.receive.peek(limit)
    if batch.count > 0 {
      if _slowPath(queue.pointee.isBehind) { limitSYNs(by: interface, now) }
      forwarder.forward(
        batch.entries, count: Int(batch.count), frames: frames, frameBytes: frameBytes, now: now,
        verdicts: verdicts)
      dispatch(batch.entries, batch.count, from: interface, now)
      queue.pointee.receive.release(batch.count)
    } else if limit == 0 {
      queue.pointee.counters.add(1, to: .transmitFull)
    }
    if _slowPath(queue.pointee.admission.isLimiting) { admitSYNs(by: interface, now) }
    return batch.count
  }

  /// Packets may be lost at an interface: SYNs are its last ones to come.
  @inline(never)
  private mutating func limitSYNs(by interface: Int, _ now: Tick) {
    queues[interface].admission.limit(established: forwarder.establishedCount, now: now)
  }

  /// Lets as many SYNs in as may come, and counts those that were not.
  @inline(never)
  private mutating func admitSYNs(by interface: Int, _ now: Tick) {
    let dropped = queues[interface].admission.grant(
      established: forwarder.establishedCount, now: now)
    forwarder.countOverloaded(packets: dropped.packets, bytes: dropped.octets)
  }

  /// Packets of one batch that every transmit ring can take.
  @inline(__always) var room: UInt32 {
    var room = queues.pointee.room(UInt32(Forwarder.batchLimit))
    var other = 1
    while _slowPath(other < interfaceCount) {
      room = queues[other].room(room)
      other &+= 1
    }
    return room
  }

  /// The system calls that are due for an interface after a turn.
  public func wakeups(of interface: Int) -> Wakeups {
    let queue = queues + interface
    var wakeups: Wakeups = []
    if queue.pointee.transmit.pending > 0, queue.pointee.transmit.needsWakeup {
      wakeups.insert(.transmit)
    }
    if queue.pointee.fill.needsWakeup { wakeups.insert(.fill) }
    return wakeups
  }

  /// Packets that the kernel has not taken yet from an interface's transmit ring.
  public func waiting(at interface: Int) -> UInt32 { queues[interface].transmit.pending }

  /// Whether packets wait to be sent, by whatever interface.
  var isWaiting: Bool {
    for interface in 0..<interfaceCount where waiting(at: interface) > 0 { return true }
    return false
  }

  /// Whether the next turn has packets.
  var hasPackets: Bool {
    for interface in 0..<interfaceCount where !queues[interface].receive.isEmpty { return true }
    return false
  }

  /// Whether frames wait for others to decide them.
  public var isHolding: Bool { pen.count > 0 }

  /// Says whether the kernel takes nothing to be sent because the interface is down.
  public func setDown(_ isDown: Bool, _ interface: Int) { queues[interface].isDown = isDown }

  /// Sent frames go straight back to the fill ring, one row of either ring in a turn.
  @inline(__always)
  private mutating func reapCompletions(_ queue: UnsafeMutablePointer<QueueRings>) {
    guard !queue.pointee.completion.isEmpty else { return }
    if _slowPath(interfaceCount > 1) { return reapHomeward(queue) }
    let row = queue.pointee.fill.row(.max)
    let batch = queue.pointee.completion.peek(row.count)
    _ = queue.pointee.fill.reserve(batch.count)
    let chunkMask = chunkMask
    for index in 0..<Int(batch.count) {
      row.entries[index] = batch.entries[index] & chunkMask
    }
    queue.pointee.fill.submit(batch.count)
    queue.pointee.completion.release(batch.count)
    queue.pointee.counters.add(UInt64(batch.count), to: .completed)
  }

  /// The same where a frame may have another home than the interface that it left by. Mutating, as
  /// the call of another would copy the loop in every turn.
  @inline(never)
  private mutating func reapHomeward(_ queue: UnsafeMutablePointer<QueueRings>) {
    let batch = queue.pointee.completion.peek(.max)
    var (index, count) = (0, Int(batch.count))
    while index < count {
      let (home, first) = (self.home(of: batch.entries[index]), index)
      _ = home.pointee.fill.reserve(batch.count)
      let toFill = home.pointee.fill.vacancies
      while index < count, self.home(of: batch.entries[index]) == home {
        toFill.write(batch.entries[index] & chunkMask, at: UInt32(index &- first))
        index &+= 1
      }
      home.pointee.fill.submit(UInt32(index &- first))
    }
    queue.pointee.completion.release(batch.count)
    queue.pointee.counters.add(UInt64(batch.count), to: .completed)
  }

  /// The interface that receives into the frame in which `address` lies; of an address outside all
  /// frames, the last one.
  func home(of address: UInt64) -> UnsafeMutablePointer<QueueRings> {
    queues + Int(min(address &>> homeShift, UInt64(interfaceCount &- 1)))
  }

  /// Gives the frame in which `address` lies back to its home.
  func giveBack(_ address: UInt64) {
    let home = home(of: address)
    _ = home.pointee.fill.reserve(1)
    home.pointee.fill.write(address & chunkMask, at: 0)
    home.pointee.fill.submit(1)
  }

  private func fillAll() {
    let (homeBytes, chunkBytes) = (UInt64(1) << homeShift, ~chunkMask + 1)
    for interface in 0..<interfaceCount {
      let (queue, count) = (queues + interface, UInt32(homeBytes / chunkBytes))
      precondition(queue.pointee.fill.reserve(count) >= count, "more frames than fill ring entries")
      for frame in 0..<count {
        queue.pointee.fill.write(
          UInt64(interface) * homeBytes + UInt64(frame) * chunkBytes, at: frame)
      }
      queue.pointee.fill.submit(count)
    }
  }
}
