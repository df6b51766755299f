// SPDX-License-Identifier: Apache-2.0
import CMachine
import Glibc
import Synchronization

/// The pinned thread of one queue: turns of a `WorkerLoop`, the system calls they ask for, and
/// sleep when there is nothing to do.
///
/// Other threads only publish a snapshot, read counters, and stop it. The socket is borrowed: it
/// must stay open until `stop` has returned.
final class Worker: @unchecked Sendable {
  let view: ForwarderView
  let counters: QueueCounters
  private let signals: UnsafeMutablePointer<WorkerSignals>
  private let context: UnsafeMutablePointer<WorkerThread>
  private var thread: pthread_t?

  /// - Parameters:
  ///   - socket: the bound AF_XDP socket whose rings `memory` describes.
  ///   - cpu: where the thread is pinned.
  init(
    queue: Int, memory: QueueMemory, socket: Int32, forwarder: consuming Forwarder, cpu: Int32,
    busyPoll: Bool
  ) {
    let loop = WorkerLoop(memory, forwarder: forwarder)
    view = loop.view
    counters = loop.counters
    signals = .allocate(capacity: 1)
    signals.initialize(to: WorkerSignals())
    context = .allocate(capacity: 1)
    context.initialize(
      to: WorkerThread(
        loop: loop, signals: UnsafePointer(signals), queue: queue, socket: socket, cpu: cpu,
        busyPoll: busyPoll))
  }

  deinit {
    stop()
    context.deinitialize(count: 1)
    context.deallocate()
    signals.deinitialize(count: 1)
    signals.deallocate()
  }

  /// As `Forwarder.join`; before `start`.
  func join(_ peers: [ForwarderView]) { context.pointee.join(peers) }

  /// Forwards by `snapshot` soon: at the next turn, woken if it sleeps. The caller keeps the
  /// snapshot alive until a later one has been adopted.
  func publish(_ snapshot: Snapshot) {
    signals.pointee.published.store(UInt(bitPattern: snapshot.content), ordering: .releasing)
    signals.pointee.wake()
  }

  /// Starts the thread; returns the errno of pthread_create(3) if it cannot.
  func start() -> Int32 {
    var handle = pthread_t()
    let result = pthread_create(
      &handle, nil,
      { argument in
        argument?.assumingMemoryBound(to: WorkerThread.self).pointee.run()
        return nil
      }, context)
    if result == 0 { thread = handle }
    return result
  }

  /// Lets what is in the rings go out, for a bounded time, and ends the thread.
  func stop() {
    guard let running = thread else { return }
    signals.pointee.isStopping.store(true, ordering: .releasing)
    signals.pointee.wake()
    pthread_join(running, nil)
    thread = nil
  }

  /// The errno that ended the thread, or nil while it is well.
  var failure: Int32? {
    let code = signals.pointee.failure.load(ordering: .acquiring)
    return code == 0 ? nil : code
  }
}

/// The words by which other threads reach a worker's, and it them.
struct WorkerSignals: ~Copyable {
  /// Address of the `SnapshotContent` to forward by; 0 before the first one.
  let published = Atomic<UInt>(0)
  let isStopping = Atomic<Bool>(false)
  /// The errno that ended the thread, or 0.
  let failure = Atomic<Int32>(0)
  /// An eventfd(2) that ends a sleep early.
  let alarm = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))

  func wake() { eventfd_write(alarm, 1) }

  deinit { close(alarm) }
}

/// What only the worker's thread touches.
struct WorkerThread: ~Copyable {
  private var loop: WorkerLoop
  private let signals: UnsafePointer<WorkerSignals>
  private let queue: Int
  private let socket: Int32
  private let cpu: Int32
  private let busyPoll: Bool
  private var adopted: UInt = 0
  /// Packets that waited when the last wakeup to send moved none of them, or 0; turns since.
  private var refused: UInt32 = 0
  private var turnsSinceRefusal = 0
  /// Turns with packets until one is timed.
  private var turnsUntilTiming: UInt32 = 0

  /// Empty turns before the first sleep: about 30 µs, longer than the gap between two batches of a
  /// sender that fills its ring.
  private static let spinTurns = 512
  /// A worker that never sleeps looks for an error of its socket every 65 536 empty turns, some
  /// milliseconds.
  private static let checkTurnsMask = 0xffff
  /// The longest sleep; the sweep goes on in between.
  private static let sleepMilliseconds: Int32 = 20
  /// The longest sleep while the kernel has not taken what is to be sent, or a held fragment's
  /// first one may have come to another worker.
  private static let watchfulSleepMilliseconds: Int32 = 1
  /// Turns before a wakeup to send that moved nothing is repeated if nothing else has changed: some
  /// 2 µs. A zero-copy driver asks to be woken as long as its own ring is full: 108 768 calls for
  /// 100 019 frames of virtio_net without this, 6 091 with it (bench/run vm --part conserve).
  private static let refusalTurns = 32
  /// How long a stop waits for the rings to run empty.
  private static let drainMilliseconds: Int32 = 200
  /// Of so many turns with packets one is timed: two readings of the clock, 50 ns, for up to 65 536
  /// packets.
  private static let turnsPerTiming: UInt32 = 1024

  init(
    loop: consuming WorkerLoop, signals: UnsafePointer<WorkerSignals>, queue: Int, socket: Int32,
    cpu: Int32, busyPoll: Bool
  ) {
    self.loop = loop
    self.signals = signals
    self.queue = queue
    self.socket = socket
    self.cpu = cpu
    self.busyPoll = busyPoll
  }

  func join(_ peers: [ForwarderView]) { loop.join(peers) }

  /// The thread's body.
  mutating func run() {
    _ = machine_pin_thread("martinet-q\(queue)", cpu)
    var emptyTurns = 0
    var stopBegan: Tick?
    while signals.pointee.failure.load(ordering: .relaxed) == 0 {
      adoptPublished()
      let now = Tick.now()
      let isTimed = _slowPath(turnsUntilTiming == 0) && loop.hasPackets
      let received = isTimed ? timedTurn(now) : turn(now)
      if _slowPath(signals.pointee.isStopping.load(ordering: .acquiring)) {
        let began = stopBegan ?? now
        stopBegan = began
        let isDrained = received == 0 && loop.waiting == 0
        if isDrained || now.milliseconds(since: began) > Self.drainMilliseconds { break }
      }
      if received > 0 {
        if turnsUntilTiming > 0 { turnsUntilTiming &-= 1 }
        emptyTurns = 0
        continue
      }
      emptyTurns &+= 1
      if !busyPoll {
        if emptyTurns > Self.spinTurns { sleep() }
      } else if emptyTurns & Self.checkTurnsMask == 0 {
        noteSocketError()
      }
    }
    loop.abandonHeld()
  }

  /// Returns how many packets were received.
  @inline(__always) private mutating func turn(_ now: Tick) -> UInt32 {
    let received = loop.turn(now: now)
    performWakeups()
    return received
  }

  /// The same while packets wait, and counts how long it took if any could be received.
  @inline(never) private mutating func timedTurn(_ now: Tick) -> UInt32 {
    let began = Self.nanoseconds()
    let received = turn(now)
    if received > 0 {
      loop.counters.countTurn(nanoseconds: Self.nanoseconds() &- began)
      turnsUntilTiming = Self.turnsPerTiming
    }
    return received
  }

  private static func nanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }

  @inline(__always) private mutating func adoptPublished() {
    let address = signals.pointee.published.load(ordering: .acquiring)
    if _slowPath(address != adopted),
      let content = UnsafePointer<SnapshotContent>(bitPattern: address)
    {
      loop.adopt(content)
      adopted = address
    }
  }

  @inline(__always) private mutating func performWakeups() {
    let wakeups = loop.wakeups
    if wakeups.contains(.transmit) { wakeToSend() }
    if wakeups.contains(.fill) {
      loop.counters.add(1, to: .fillWakeups)
      if recvfrom(socket, nil, 0, Int32(MSG_DONTWAIT), nil, nil) < 0 { note(errno) }
    }
  }

  private mutating func wakeToSend() {
    let waiting = loop.waiting
    turnsSinceRefusal &+= 1
    if waiting == refused, turnsSinceRefusal < Self.refusalTurns { return }
    loop.counters.add(1, to: .transmitWakeups)
    if sendto(socket, nil, 0, Int32(MSG_DONTWAIT), nil, 0) < 0 { note(errno) }
    refused = loop.waiting == waiting ? waiting : 0
    turnsSinceRefusal = 0
  }

  /// What a wakeup's errno means: net/xdp/xsk.c, af-xdp-facts.md §2.1.
  private func note(_ code: Int32) {
    switch code {
    case EAGAIN, ENOBUFS, ENOMEM, EINTR: loop.counters.add(1, to: .transmitAgain)
    case EBUSY: loop.counters.add(1, to: .transmitLost)
    case ENETDOWN, ENXIO:
      // Gone, or down, or a driver that resets itself; only the first leaves an error behind.
      loop.counters.add(1, to: .linkDown)
      noteSocketError()
    default: signals.pointee.failure.store(code, ordering: .releasing)
    }
  }

  private func sleep() {
    var waits = (
      pollfd(fd: socket, events: Int16(POLLIN), revents: 0),
      pollfd(fd: signals.pointee.alarm, events: Int16(POLLIN), revents: 0)
    )
    let isWatchful = loop.waiting > 0 || loop.isHolding
    let milliseconds = isWatchful ? Self.watchfulSleepMilliseconds : Self.sleepMilliseconds
    loop.counters.add(1, to: .sleeps)
    let count = withUnsafeMutableBytes(of: &waits) {
      poll($0.assumingMemoryBound(to: pollfd.self).baseAddress, 2, milliseconds)
    }
    if count == 0 { noteSocketError() }
    if waits.1.revents != 0 {
      var drained: eventfd_t = 0
      eventfd_read(signals.pointee.alarm, &drained)
    }
  }

  /// An interface that is deleted leaves its socket with an error that poll(2) does not report.
  private func noteSocketError() {
    var code: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    let status = getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &size)
    if status == 0, code != 0 { signals.pointee.failure.store(code, ordering: .releasing) }
  }
}
