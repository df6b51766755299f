// SPDX-License-Identifier: Apache-2.0
import CMachine
import Glibc
import Synchronization

/// What the operator says about the workers and their interfaces.
public struct WorkerConfiguration: Sendable {
  /// Of the interfaces, at least one, by `EgressIndex`.
  public var ports: [PortConfiguration]
  /// The same for each worker: they share the hash key, so that one can find another's entries.
  public var forwarder: ForwarderConfiguration
  /// Workers spin and never sleep.
  public var busyPoll: Bool

  public init(
    ports: [PortConfiguration], forwarder: ForwarderConfiguration = ForwarderConfiguration(),
    busyPoll: Bool = false
  ) {
    self.ports = ports
    self.forwarder = forwarder
    self.busyPoll = busyPoll
  }
}

/// Interfaces with a worker on each queue of all of them: all that the control plane sees of them.
///
/// Its calls may come from any thread, and none of them reaches into a worker.
public final class WorkerGroup: Sendable {
  /// By `EgressIndex`.
  public let interfaces: [InterfaceDescription]
  private let workers: [Worker]
  private let state: Mutex<State>
  /// Clients of persistent services.
  public let templates: Templates

  private struct State: ~Copyable {
    /// nil after `stop`.
    var ports: OpenPorts?
    /// Those a worker may still forward by, oldest first.
    var snapshots: [Snapshot] = []
  }

  /// Opens the interfaces in the caller's network namespace, with a worker per queue that does not
  /// run yet. No packet is touched before `start`.
  public init(_ configuration: WorkerConfiguration) throws(PortError) {
    let ports = try OpenPorts(configuration.ports)
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
    for queue in 0..<ports.ports[0].pointee.sockets.count {
      let forwarder: Forwarder
      do {
        forwarder = try Forwarder(
          configuration.forwarder, templates: templates, localities: localities,
          sweepsTemplates: queue == 0, now: .now())
      } catch {
        throw PortError(.exhausted, "mapping the connection table failed: \(error)")
      }
      var (memories, sockets): ([QueueMemory], [Int32]) = ([], [])
      for index in 0..<ports.count {
        let port = ports.ports[index]
        memories.append(
          QueueMemory(
            port.pointee.sockets[queue].pointee, admission: port.pointee.admission(of: queue)))
        sockets.append(port.pointee.sockets[queue].pointee.fileDescriptor)
      }
      workers.append(
        Worker(
          queue: queue,
          memories: memories, sockets: sockets, forwarder: forwarder,
          cpu: cpus[queue % cpus.count], busyPoll: configuration.busyPoll))
    }
    for worker in workers { worker.join(workers.filter { $0 !== worker }.map(\.view)) }
    interfaces = ports.descriptions
    self.workers = workers
    self.templates = templates
    state = Mutex(State(ports: ports))
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
    try state.withLock { state throws(PortError) in try state.ports?.attach() }
  }

  /// Lets no more packets in, sends what the rings hold, ends the workers and gives the
  /// interfaces back. May be called twice.
  public func stop() {
    state.withLock { state in
      state.ports?.detach()
      for worker in workers { worker.stop() }
      state.ports = nil
    }
  }

  /// Has every worker forward by `snapshot` soon, and keeps it as long as one may.
  public func publish(_ snapshot: Snapshot) {
    precondition(snapshot.egressCount <= interfaces.count, "real servers are where no socket is")
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
    try state.withLock { state throws(PortError) in try state.ports?.open(ports) }
  }

  /// From now on they are the kernel's, except those to ports that are open otherwise.
  public func close(_ ports: VirtualPorts) throws(PortError) {
    try state.withLock { state throws(PortError) in try state.ports?.close(ports) }
  }

  /// An interface has another MAC address: frames to it are taken from now on.
  public func setMACAddress(
    _ macAddress: MACAddress, of egress: EgressIndex
  ) throws(PortError) {
    try state.withLock { state throws(PortError) in
      try state.ports?.setMACAddress(macAddress, of: Int(egress))
    }
  }

  /// One per worker; valid as long as this object.
  public var views: [ForwarderView] { workers.map(\.view) }

  /// Why the first worker that gave up did, and what to do; nil while all are well.
  public var failure: String? {
    for (queue, worker) in workers.enumerated() {
      guard let failure = worker.failure else { continue }
      return "the worker of queue \(queue) of \(interfaces[failure.interface].name) gave up: "
        + (failure.code == ENXIO || failure.code == ENETDOWN
          ? "the interface is gone; bring it back and start again"
          : "\(PortError.sentence(failure.code)); start again")
    }
    return nil
  }

  /// Of each queue, in order.
  public var queueStatistics: [QueueStatistics] {
    workers.enumerated().map { queue, worker in
      var statistics = QueueStatistics(queue: queue, worker.view)
      statistics.sockets = sockets(of: worker, queue)
      statistics.batchSizes = Self.sum(worker, \.batchSizes)
      statistics.turnTimes = Self.sum(worker, \.turnTimes)
      return statistics
    }
  }

  private func sockets(of worker: Worker, _ queue: Int) -> [SocketStatistics] {
    zip(interfaces, worker.counters).enumerated().map { place, figures in
      let (interface, counters) = figures
      return SocketStatistics(
        interface: interface.name,
        worker: Dictionary(uniqueKeysWithValues: QueueCounter.allCases.map { ($0, counters[$0]) }),
        socket: state.withLock { $0.ports?.ports[place].pointee.sockets[queue].pointee.statistics }
          ?? XDPStatistics())
    }
  }

  private static func sum(
    _ worker: Worker, _ figure: (QueueCounters) -> DoublingHistogram
  ) -> DoublingHistogram {
    worker.counters.dropFirst().reduce(into: figure(worker.counters[0])) { $0 += figure($1) }
  }

  /// What the eBPF program decided; zeroes after `stop`.
  public var programCounters: ProgramCounters {
    state.withLock { $0.ports?.counters } ?? ProgramCounters()
  }
}

extension QueueMemory {
  init(_ socket: borrowing QueueSocket, admission: UnsafeMutableRawPointer) {
    self.init(
      frames: socket.frames, frameBytes: socket.frameBytes, chunkBytes: socket.chunkBytes,
      fill: socket.fill, completion: socket.completion, receive: socket.receive,
      transmit: socket.transmit, admission: admission)
  }
}
