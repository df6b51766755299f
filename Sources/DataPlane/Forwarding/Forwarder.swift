// SPDX-License-Identifier: Apache-2.0

/// Sizes and secret of one worker's tables.
public struct ForwarderConfiguration: Sendable {
  /// Room for connections per family; rounded up to a power of two, at least 8.
  /// A table is at its best up to a quarter full.
  public var ipv4Entries: Int
  public var ipv6Entries: Int
  /// Room for clients of persistent services, of all workers together.
  public var templateEntries: Int
  public var hashKey: HashKey

  public static let maximumEntries = 1 << 30

  public init(
    ipv4Entries: Int = 1 << 20, ipv6Entries: Int = 1 << 18, templateEntries: Int = 1 << 18,
    hashKey: HashKey = .random()
  ) {
    self.ipv4Entries = ipv4Entries
    self.ipv6Entries = ipv6Entries
    self.templateEntries = templateEntries
    self.hashKey = hashKey
  }
}

/// The decision: (bytes, snapshot, connection table, now) -> verdict. One per worker, used by one
/// thread; `view` may be read by any.
///
/// All memory is mapped and touched by the initialiser and unmapped when the value ends.
public struct Forwarder: ~Copyable {
  /// The most descriptors that one call of `forward` takes.
  public static let batchLimit = ForwarderCore.batchLimit

  private let core: UnsafeMutablePointer<ForwarderCore>
  private let memory: SharedMemory
  private let templates: Templates
  private let localities: Localities
  /// In force until the first `adopt`: no services.
  private let empty: Snapshot

  /// - Parameters:
  ///   - templates: those of all workers; nil for one that works alone. So are `localities`.
  ///   - sweepsTemplates: whether this worker frees them; one of those that share them does.
  ///   - now: the present, so that sweeping starts from it.
  public init(
    _ configuration: ForwarderConfiguration = ForwarderConfiguration(),
    templates: Templates? = nil, localities: Localities? = nil, sweepsTemplates: Bool = true,
    now: Tick
  ) throws(SharedMemoryError) {
    let layout = ForwarderLayout(configuration)
    let templates = try Self.shared(templates, configuration)
    let localities = try Self.shared(localities)
    memory = try SharedMemory(byteCount: layout.byteCount, name: "martinet-connections")
    self.templates = templates
    self.localities = localities
    guard let empty = try? Snapshot(SnapshotSpecification(egressMACAddresses: []), generation: 0)
    else { preconditionFailure("an empty specification is valid") }
    self.empty = empty
    core = .allocate(capacity: 1)
    core.initialize(
      to: layout.core(
        at: memory.base, hashKey: configuration.hashKey, content: empty.content,
        templates: templates.table, localities: localities.table,
        sweepsTemplates: sweepsTemplates, now: now))
  }

  deinit { core.deallocate() }

  private static func shared(
    _ templates: Templates?, _ configuration: ForwarderConfiguration
  ) throws(SharedMemoryError) -> Templates {
    if let templates { return templates }
    return try Templates(entries: configuration.templateEntries)
  }

  private static func shared(
    _ localities: Localities?
  ) throws(SharedMemoryError) -> Localities {
    if let localities { return localities }
    return try Localities()
  }

  /// Makes the schedulers that count see these workers' connections too, and ICMP errors and
  /// fragments, which reach any queue, find them. Before the first batch; the peers must have the
  /// same hash key and live as long as this value is used.
  public func join(_ peers: [ForwarderView]) {
    precondition(peers.count <= ConnectionLoads.peerLimit)
    for (place, peer) in peers.enumerated() {
      core.pointee.loads.peers[place] = peer.loads
      core.pointee.peerTables[place] = peer.tables
    }
    core.pointee.loads.peerCount = peers.count
  }

  /// Decides up to `batchLimit` frames and rewrites those that are forwarded in place.
  ///
  /// - Parameters:
  ///   - descriptors: `count` entries; untrusted.
  ///   - frames: the UMEM, `frameBytes` octets.
  ///   - now: read once for the whole batch.
  ///   - verdicts: `count` entries, all written.
  @inline(__always)
  public func forward(
    _ descriptors: UnsafePointer<FrameDescriptor>, count: Int, frames: UnsafeMutableRawPointer,
    frameBytes: UInt64, now: Tick, verdicts: UnsafeMutablePointer<Verdict>
  ) {
    precondition(count >= 0 && count <= Self.batchLimit)
    Self.forward(core, descriptors, count, frames, frameBytes, now, verdicts)
  }

  /// Apart, as a call of this value would copy it, and a call with a batch reads it from memory.
  @inline(never)
  private static func forward(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ descriptors: UnsafePointer<FrameDescriptor>,
    _ count: Int, _ frames: UnsafeMutableRawPointer, _ frameBytes: UInt64, _ now: Tick,
    _ verdicts: UnsafeMutablePointer<Verdict>
  ) {
    ForwarderCore.forward(
      core,
      Batch(
        descriptors: descriptors, count: count, frames: frames, frameBytes: frameBytes, now: now,
        verdicts: verdicts))
  }

  /// First fragments that were forwarded: where it grows, held frames may have become due.
  var firstFragments: UInt64 { core.pointee.counters.load(.firstFragment) }

  /// Counts a frame that is given up after its verdict.
  func countDrop(_ reason: DropReason, _ frame: FrameDescriptor) {
    core.pointee.counters.countDrop(reason.rawValue, bytes: frame.length)
  }

  /// Connections that became established by a packet after their first one, ever.
  var establishedCount: UInt64 { core.pointee.counters.load(.established) }

  /// Counts SYNs that the eBPF program has dropped, and the octets of their frames.
  func countOverloaded(packets: UInt64, bytes: UInt64) {
    core.pointee.counters.countDrops(
      DropReason.overloaded.rawValue, packets: packets, bytes: bytes)
  }

  /// Forwards by `snapshot` from the next batch on. The caller keeps it alive until a later one
  /// has been adopted.
  public func adopt(_ snapshot: Snapshot) {
    adopt(snapshot.content)
  }

  /// As `adopt(_: Snapshot)`, for workers, which only ever see the pointer.
  func adopt(_ content: UnsafePointer<SnapshotContent>) {
    core.pointee.adopt(content)
  }

  /// Frees what has expired, a few lines per turn of the loop; cheap when nothing is due.
  public func sweep(now: Tick) {
    core.pointee.sweep(now: now)
  }

  /// What other threads may read while this value lives.
  public var view: ForwarderView { ForwarderView(core.pointee) }
}

extension ForwarderCore {
  mutating func adopt(_ next: UnsafePointer<SnapshotContent>) {
    let old = content.pointee
    let new = next.pointee
    for index in 0..<new.serviceCount where new.services[index].isInService {
      let known = index < old.serviceCount && old.services[index].isInService
      let previous = known ? old.services[index] : nil
      if previous?.revision != new.services[index].revision {
        cursors[index].follow(from: previous, in: old, to: new.services[index], in: new)
      }
    }
    localities.follow(from: old, to: new)
    content = next
    loads.standings.forget(0..<new.nodeCount)
    let places = max(counters.load(.realServerPlaces), UInt64(new.realServerCount))
    counters.store(places, to: .realServerPlaces)
    counters.store(new.generation, to: .adoptedGeneration)
  }
}

extension HashKey {
  /// From the system's generator.
  public static func random() -> HashKey {
    var generator = SystemRandomNumberGenerator()
    return HashKey(using: &generator)
  }
}

/// The sections of a worker's mapping, each on its own line pair.
private struct ForwarderLayout {
  private let ipv4Lines: Int
  private let ipv6Lines: Int
  private(set) var byteCount = 0

  init(_ configuration: ForwarderConfiguration) {
    ipv4Lines = Self.lines(configuration.ipv4Entries, IPv4ConnectionTable.entriesPerLine)
    ipv6Lines = Self.lines(configuration.ipv6Entries, IPv6ConnectionTable.entriesPerLine)
    byteCount = sections(from: 0).end
  }

  private static func lines(_ entries: Int, _ perLine: Int) -> Int {
    let wanted = max(8, min(entries, ForwarderConfiguration.maximumEntries))
    var lines = 2
    while lines * perLine < wanted { lines *= 2 }
    return lines
  }

  private struct Sections {
    var ipv4 = 0
    var ipv6 = 0
    var realServers = 0
    var loads = 0
    var peers = 0
    var overloads = 0
    var standings = 0
    var cursors = 0
    var counters = 0
    var ipv4Packets = 0
    var ipv6Packets = 0
    var portless = 0
    var unserved = 0
    var fragments = 0
    var peerTables = 0
    var end = 0
  }

  private func sections(from start: Int) -> Sections {
    var end = start
    func section(_ byteCount: Int) -> Int {
      defer { end += (byteCount + 127) & ~127 }
      return end
    }
    let indices = Int(UInt16.max) + 1
    let batch = ForwarderCore.batchLimit
    return Sections(
      ipv4: section(ipv4Lines * IPv4ConnectionTable.lineBytes),
      ipv6: section(ipv6Lines * IPv6ConnectionTable.lineBytes),
      realServers: section(indices * MemoryLayout<RealServerCounters>.stride),
      loads: section(indices * MemoryLayout<UInt64>.stride),
      peers: section(ConnectionLoads.peerLimit * MemoryLayout<UnsafeRawPointer>.stride),
      overloads: section(indices * MemoryLayout<UInt32>.stride),
      standings: section(StandingNodes.limit * MemoryLayout<StandingNodes.Node>.stride),
      cursors: section(indices * MemoryLayout<SchedulerCursor>.stride),
      counters: section(ForwarderCounter.count * MemoryLayout<UInt64>.stride),
      ipv4Packets: section(batch * MemoryLayout<IPv4Packet>.stride),
      ipv6Packets: section(batch * MemoryLayout<IPv6Packet>.stride),
      portless: section(batch), unserved: section(batch),
      fragments: section(FragmentTable.noteCount * MemoryLayout<FragmentNote>.stride),
      peerTables: section(ConnectionLoads.peerLimit * MemoryLayout<ConnectionTables>.stride),
      end: end)
  }

  func core(
    at base: UnsafeMutableRawPointer, hashKey: HashKey, content: UnsafePointer<SnapshotContent>,
    templates: TemplateTable, localities: LocalityTable, sweepsTemplates: Bool, now: Tick
  ) -> ForwarderCore {
    let sections = sections(from: 0)
    let indices = Int(UInt16.max) + 1
    let batch = ForwarderCore.batchLimit
    return ForwarderCore(
      content: content, hashKey: hashKey,
      ipv4: IPv4ConnectionTable(base: base + sections.ipv4, lineCount: ipv4Lines),
      ipv6: IPv6ConnectionTable(base: base + sections.ipv6, lineCount: ipv6Lines),
      realServers: (base + sections.realServers).bindMemory(
        to: RealServerCounters.self, capacity: indices),
      loads: ConnectionLoads(
        own: (base + sections.loads).bindMemory(to: UInt64.self, capacity: indices),
        peers: (base + sections.peers).bindMemory(
          to: UnsafeMutablePointer<UInt64>.self, capacity: ConnectionLoads.peerLimit),
        overloads: (base + sections.overloads).bindMemory(to: UInt32.self, capacity: indices),
        standings: StandingNodes(
          nodes: (base + sections.standings).bindMemory(
            to: StandingNodes.Node.self, capacity: StandingNodes.limit))),
      cursors: (base + sections.cursors).bindMemory(to: SchedulerCursor.self, capacity: indices),
      counters: CounterBlock(
        base: (base + sections.counters).bindMemory(
          to: UInt64.self, capacity: ForwarderCounter.count)),
      ipv4Packets: (base + sections.ipv4Packets).bindMemory(to: IPv4Packet.self, capacity: batch),
      ipv6Packets: (base + sections.ipv6Packets).bindMemory(to: IPv6Packet.self, capacity: batch),
      portless: (base + sections.portless).bindMemory(to: UInt8.self, capacity: batch),
      unserved: (base + sections.unserved).bindMemory(to: UInt8.self, capacity: batch),
      fragments: FragmentTable(
        notes: (base + sections.fragments).bindMemory(
          to: FragmentNote.self, capacity: FragmentTable.noteCount)),
      peerTables: (base + sections.peerTables).bindMemory(
        to: ConnectionTables.self, capacity: ConnectionLoads.peerLimit),
      localities: localities, templates: templates, sweepsTemplates: sweepsTemplates,
      answers: AnswerAllowance(lastTurn: now),
      sweep: SweepPosition(from: now))
  }
}
