// SPDX-License-Identifier: Apache-2.0
import CMachine
import Glibc
import Synchronization

/// What the operator says about an interface's workers.
public struct WorkerConfiguration: Sendable {
  public var port: PortConfiguration
  /// The same for each worker: they share the hash key, so that one can find another's entries.
  public var forwarder: ForwarderConfiguration
  /// Workers spin and never sleep.
  public var busyPoll: Bool

  public init(
    port: PortConfiguration, forwarder: ForwarderConfiguration = ForwarderConfiguration(),
    busyPoll: Bool = false
  ) {
    self.port = port
    self.forwarder = forwarder
    self.busyPoll = busyPoll
  }
}

/// Counters of one receive queue, its worker and its socket.
public struct QueueStatistics: Sendable {
  public var queue: Int
  public var worker: [QueueCounter: UInt64]
  public var socket: XDPStatistics
  public var drops: [DropReason: UInt64]
  public var sideTraffic: [SideTraffic: UInt64]
  public var ipv4Connections: UInt64
  public var ipv6Connections: UInt64
  /// Records that there is room for.
  public var ipv4Entries = 0
  public var ipv6Entries = 0
  /// Frames forwarded by hash, without a record, because the table was full there.
  public var unrecorded: UInt64 = 0
  public var evictions = EvictionAges()
  public var batchSizes = DoublingHistogram()
  /// In nanoseconds, by `QueueCounters.turnTimeUnitNanoseconds`.
  public var turnTimes = DoublingHistogram()
  /// To all real servers together; its totals never go back.
  public var forwarded = RealServerStatistics()
}

extension QueueStatistics {
  /// What a forwarder counts of it.
  public init(queue: Int, _ view: ForwarderView) {
    self.init(
      queue: queue, worker: [:], socket: XDPStatistics(),
      drops: Dictionary(uniqueKeysWithValues: DropReason.allCases.map { ($0, view.drops($0)) }),
      sideTraffic: Dictionary(
        uniqueKeysWithValues: SideTraffic.allCases.map { ($0, view.count(of: $0)) }),
      ipv4Connections: view.ipv4Connections, ipv6Connections: view.ipv6Connections,
      ipv4Entries: view.ipv4Entries, ipv6Entries: view.ipv6Entries, unrecorded: view.unrecorded,
      evictions: view.evictions, forwarded: view.forwarded)
  }
}

/// An interface with a worker on each of its queues: all that the control plane sees of them.
///
/// Its calls may come from any thread, and none of them reaches into a worker.
public final class WorkerGroup: Sendable {
  public let interface: InterfaceDescription
  private let workers: [Worker]
  private let state: Mutex<State>
  /// Clients of persistent services.
  public let templates: Templates

  private struct State: ~Copyable {
    /// nil after `stop`.
    var port: OpenPort?
    /// Those a worker may still forward by, oldest first.
    var snapshots: [Snapshot] = []
  }

  /// Opens the interface in the caller's network namespace, with a worker per queue that does not
  /// run yet. No packet is touched before `start`.
  public init(_ configuration: WorkerConfiguration) throws(PortError) {
    let port = try OpenPort(configuration.port)
    let cpus = try Self.allowedCPUs()
    var workers: [Worker] = []
    let templates: Templates
    let localities: Localities
    do {
      templates = try Templates(entries: configuration.forwarder.templateEntries)
      localities = try Localities()
    } catch {
      throw PortError(.exhausted, "mapping what workers share failed: \(error)")
    }
    for queue in 0..<port.sockets.count {
      let forwarder: Forwarder
      do {
        forwarder = try Forwarder(
          configuration.forwarder, templates: templates, localities: localities,
          sweepsTemplates: queue == 0, now: .now())
      } catch {
        throw PortError(.exhausted, "mapping the connection table failed: \(error)")
      }
      workers.append(
        Worker(
          queue: queue, memory: QueueMemory(port.sockets[queue]),
          socket: port.sockets[queue].fileDescriptor, forwarder: forwarder,
          cpu: cpus[queue % cpus.count], busyPoll: configuration.busyPoll))
    }
    for worker in workers { worker.join(workers.filter { $0 !== worker }.map(\.view)) }
    interface = port.description
    self.workers = workers
    self.templates = templates
    state = Mutex(State(port: port))
  }

  deinit { stop() }

  private static func allowedCPUs() throws(PortError) -> [Int32] {
    var cpus = [Int32](repeating: 0, count: 1024)
    let count = machine_allowed_cpus(&cpus, Int32(cpus.count))
    guard count > 0 else { throw .system("listing the CPUs to run on", errno) }
    return Array(cpus.prefix(Int(count)))
  }

  /// Starts the workers, and then lets the packets of services in.
  public func start() throws(PortError) {
    for worker in workers {
      let code = worker.start()
      guard code == 0 else { throw .system("starting a worker", code) }
    }
    try state.withLock { state throws(PortError) in try state.port?.attach() }
  }

  /// Lets no more packets in, sends what the rings hold, ends the workers and gives the interface
  /// back. May be called twice.
  public func stop() {
    state.withLock { state in
      state.port?.detach()
      for worker in workers { worker.stop() }
      state.port = nil
    }
  }

  /// Has every worker forward by `snapshot` soon, and keeps it as long as one may.
  public func publish(_ snapshot: Snapshot) {
    state.withLock { state in
      state.snapshots.append(snapshot)
      for worker in workers { worker.publish(snapshot) }
      let adopted = adoptedGeneration
      state.snapshots.removeAll { $0.generation < adopted }
    }
  }

  /// The smallest generation that a worker forwards by.
  public var adoptedGeneration: UInt64 { views.map(\.adoptedGeneration).min() ?? 0 }

  /// Every worker has completed a sweep that began when it had adopted this generation.
  public var sweptGeneration: UInt64 { views.map(\.sweptGeneration).min() ?? 0 }

  /// From now on the packets to these ports go to the workers. Doing so twice is doing it once.
  public func open(_ ports: VirtualPorts) throws(PortError) {
    try state.withLock { state throws(PortError) in try state.port?.open(ports) }
  }

  /// From now on they are the kernel's, except those to ports that are open otherwise.
  public func close(_ ports: VirtualPorts) throws(PortError) {
    try state.withLock { state throws(PortError) in try state.port?.close(ports) }
  }

  /// The interface has another MAC address: frames to it are taken from now on.
  public func setMACAddress(_ macAddress: MACAddress) throws(PortError) {
    try state.withLock { state throws(PortError) in try state.port?.setMACAddress(macAddress) }
  }

  /// One per worker; valid as long as this object.
  public var views: [ForwarderView] { workers.map(\.view) }

  /// Why the first worker that gave up did, and what to do; nil while all are well.
  public var failure: String? {
    for (queue, worker) in workers.enumerated() {
      guard let code = worker.failure else { continue }
      return "the worker of queue \(queue) of \(interface.name) gave up: "
        + (code == ENXIO || code == ENETDOWN
          ? "the interface is gone; bring it back and start again"
          : "\(PortError.sentence(code)); start again")
    }
    return nil
  }

  /// Of each queue, in order.
  public var queueStatistics: [QueueStatistics] {
    workers.enumerated().map { queue, worker in
      var statistics = QueueStatistics(queue: queue, worker.view)
      for counter in QueueCounter.allCases {
        statistics.worker[counter] = worker.counters[counter]
      }
      statistics.socket =
        state.withLock { $0.port?.sockets[queue].statistics } ?? XDPStatistics()
      statistics.batchSizes = worker.counters.batchSizes
      statistics.turnTimes = worker.counters.turnTimes
      return statistics
    }
  }

  /// What the eBPF program decided; zeroes after `stop`.
  public var programCounters: ProgramCounters {
    state.withLock { $0.port?.counters } ?? ProgramCounters()
  }
}

extension QueueMemory {
  fileprivate init(_ socket: borrowing QueueSocket) {
    self.init(
      frames: socket.frames, frameBytes: socket.frameBytes, chunkBytes: socket.chunkBytes,
      fill: socket.fill, completion: socket.completion, receive: socket.receive,
      transmit: socket.transmit)
  }
}
