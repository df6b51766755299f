// SPDX-License-Identifier: Apache-2.0
import CMachine
import Glibc
import Synchronization

/// The pinned thread of one queue of every interface: turns of a `WorkerLoop`, the system calls
/// they ask for, and sleep when there is nothing to do. Free to move between two CPUs it comes to
/// 0.98 of the rate (bench/run wire).
///
/// Other threads only publish a snapshot, read counters, and stop it. The sockets are borrowed:
/// they must stay open until `stop` has returned.
final class Worker: @unchecked Sendable {
  let view: ForwarderView
  /// Of each interface.
  let counters: [QueueCounters]
  private let signals: UnsafeMutablePointer<WorkerSignals>
  private let context: UnsafeMutablePointer<WorkerThread>
  private var thread: pthread_t?

  /// - Parameters:
  ///   - memories: of the queue of each interface, by `EgressIndex`.
  ///   - sockets: the bound AF_XDP sockets whose rings `memories` describe.
  ///   - cpu: where the thread is pinned.
  init(
    queue: Int, memories: [QueueMemory], sockets: [Int32], forwarder: consuming Forwarder,
    cpu: Int32, busyPoll: Bool
  ) {
    let loop = WorkerLoop(memories, forwarder: forwarder)
    view = loop.view
    var counters: [QueueCounters] = []
    for interface in memories.indices { counters.append(loop.counters(of: interface)) }
    self.counters = counters
    signals = .allocate(capacity: 1)
    signals.initialize(to: WorkerSignals())
    context = .allocate(capacity: 1)
    context.initialize(
      to: WorkerThread(
        loop: loop, signals: UnsafePointer(signals), queue: queue,
        sockets: WorkerSockets(sockets, alarm: signals.pointee.alarm), cpu: cpu,
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

  /// What ended the thread, or nil while it is well.
  var failure: WorkerSockets.Failure? {
    let code = signals.pointee.failure.load(ordering: .acquiring)
    let interface = signals.pointee.failedInterface.load(ordering: .relaxed)
    return code == 0 ? nil : WorkerSockets.Failure(code: code, interface: interface)
  }
}

/// The words by which other threads reach a worker's, and it them.
struct WorkerSignals: ~Copyable {
  /// Address of the `SnapshotContent` to forward by; 0 before the first one.
  let published = Atomic<UInt>(0)
  let isStopping = Atomic<Bool>(false)
  /// The errno that ended the thread, or 0; the interface is told before.
  let failure = Atomic<Int32>(0)
  let failedInterface = Atomic<Int>(0)
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
  private var sockets: WorkerSockets
  private let cpu: Int32
  private let busyPoll: Bool
  private var adopted: UInt = 0
  /// Turns with packets until one is timed.
  private var turnsUntilTiming: UInt32 = 0

  /// Empty turns before the first sleep: 10 to 30 µs, longer than the gap between two batches of a
  /// sender that fills its ring. With 64 p50 is 47 µs for 38 at 40 000 packets a second
  /// (bench/run wire). No turn waits for its batch to fill: 5, 20, 50 µs of it gave 0.96 to 0.99 of
  /// the rate, and a p50 of 12, 30, 66 µs for 6 at 330 000 a second.
  private static let spinTurns = 512
  /// A worker that never sleeps looks for an error of its socket every 65 536 empty turns, some
  /// milliseconds.
  private static let checkTurnsMask = 0xffff
  /// The longest sleep; the sweep goes on in between.
  private static let sleepMilliseconds: Int32 = 20
  /// The longest sleep while the kernel has not taken what is to be sent, or a held fragment's
  /// first one may have come to another worker.
  private static let watchfulSleepMilliseconds: Int32 = 1
  /// How long a stop waits for the rings to run empty.
  private static let drainMilliseconds: Int32 = 200
  /// Of so many turns with packets one is timed: two readings of the clock, 50 ns, for up to 65 536
  /// packets.
  private static let turnsPerTiming: UInt32 = 1024

  init(
    loop: consuming WorkerLoop, signals: UnsafePointer<WorkerSignals>, queue: Int,
    sockets: consuming WorkerSockets, cpu: Int32, busyPoll: Bool
  ) {
    self.loop = loop
    self.signals = signals
    self.queue = queue
    self.sockets = sockets
    self.cpu = cpu
    self.busyPoll = busyPoll
  }

  func join(_ peers: [ForwarderView]) { loop.join(peers) }

  /// The thread's body.
  mutating func run() {
    _ = machine_pin_thread("martinet-q\(queue)", cpu)
    var emptyTurns = 0
    var stopBegan: Tick?
    while sockets.failure == nil {
      adoptPublished()
      let now = Tick.now()
      let isTimed = _slowPath(turnsUntilTiming == 0) && loop.hasPackets
      let received = isTimed ? timedTurn(now) : turn(now)
      if _slowPath(signals.pointee.isStopping.load(ordering: .acquiring)) {
        let began = stopBegan ?? now
        stopBegan = began
        let isDrained = received == 0 && !loop.isWaiting
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
        sockets.noteErrors()
      }
    }
    loop.abandonHeld()
    if let failure = sockets.failure {
      signals.pointee.failedInterface.store(failure.interface, ordering: .relaxed)
      signals.pointee.failure.store(failure.code, ordering: .releasing)
    }
  }

  /// Returns how many packets were received.
  @inline(__always) private mutating func turn(_ now: Tick) -> UInt32 {
    let received = loop.turn(now: now)
    sockets.wake(loop)
    return received
  }

  /// The same while packets wait, and counts how long it took if any could be received.
  @inline(never) private mutating func timedTurn(_ now: Tick) -> UInt32 {
    let began = Self.nanoseconds()
    let received = turn(now)
    if received > 0 {
      loop.counters(of: 0).countTurn(nanoseconds: Self.nanoseconds() &- began)
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

  private mutating func sleep() {
    let isWatchful = loop.isWaiting || loop.isHolding
    loop.counters(of: 0).add(1, to: .sleeps)
    sockets.sleep(
      milliseconds: isWatchful ? Self.watchfulSleepMilliseconds : Self.sleepMilliseconds)
  }
}
