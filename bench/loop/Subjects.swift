// SPDX-License-Identifier: Apache-2.0
import CTwin
import DataPlane

/// One implementation with its own table, rings and frames.
protocol Subject: AnyObject {
  var name: String { get }
  var kernel: RingKernel { get }
  /// Turns until all of `offer` is received.
  func run(_ offer: Offer, now: Tick)
  /// One turn without packets.
  func turn(now: Tick)
  func drops(_ reason: DropReason) -> UInt64
  /// Octets of these frames.
  func dropBytes(_ reason: DropReason) -> UInt64
  /// Packets forwarded by hash because the table was full where they belong.
  var unrecorded: UInt64 { get }
}

enum SubjectName: String, CaseIterable {
  case martinet
  case twin = "c-twin"

  /// The function whose calls are the turns, as the linker knows it.
  var turnSymbol: String {
    switch self {
    case .martinet: "$s9DataPlane10WorkerLoopV4turn3nows6UInt32VAA4TickV_tF"
    case .twin: "twin_turn"
    }
  }

  func make(_ workload: Workload, seed: UInt64) throws -> any Subject {
    switch self {
    case .martinet: try MartinetSubject(workload, seed: seed)
    case .twin: try TwinSubject(workload, seed: seed)
    }
  }
}

/// The loop as Martinet ships it.
final class MartinetSubject: Subject {
  let name = SubjectName.martinet.rawValue
  let kernel = RingKernel()
  private var loop: WorkerLoop
  private let view: ForwarderView
  private let snapshot: Snapshot

  init(_ workload: Workload, seed: UInt64) throws {
    var generator = SplitMix(state: seed)
    let isIPv6 = workload.family == .ipv6
    let forwarder = try Forwarder(
      ForwarderConfiguration(
        ipv4Entries: isIPv6 ? 8 : workload.entries, ipv6Entries: isIPv6 ? workload.entries : 8,
        templateEntries: workload.isPersistent ? workload.flows : 8,
        hashKey: HashKey(using: &generator)),
      now: Tick(rawValue: 0))
    snapshot = try Snapshot(Site(workload).specification, generation: 1)
    view = forwarder.view
    loop = WorkerLoop([kernel.memory], forwarder: forwarder)
    loop.adopt(snapshot)
  }

  func run(_ offer: Offer, now: Tick) { Self.run(&loop, offer, now) }

  /// One exclusive access for all turns, as in the worker's thread.
  private static func run(_ loop: inout WorkerLoop, _ offer: Offer, _ now: Tick) {
    offer.run { loop.turn(now: now) }
  }

  func turn(now: Tick) { _ = loop.turn(now: now) }

  func drops(_ reason: DropReason) -> UInt64 { view.drops(reason) }
  func dropBytes(_ reason: DropReason) -> UInt64 { view.dropBytes(reason) }
  var unrecorded: UInt64 { view.unrecorded }
}

/// The same in C.
final class TwinSubject: Subject {
  let name = SubjectName.twin.rawValue
  let kernel = RingKernel()
  private let memory: SharedMemory
  private let twin: OpaquePointer

  init(_ workload: Workload, seed: UInt64) throws {
    var generator = SplitMix(state: seed)
    let keys = [
      generator.next(), generator.next() | 1, generator.next(), generator.next() | 1,
    ]
    let site = Site(workload)
    let lines = Self.lines(site.isIPv6 ? 8 : workload.entries, perLine: 4)
    let ipv6Lines = Self.lines(site.isIPv6 ? workload.entries : 8, perLine: 2)
    memory = try SharedMemory(
      byteCount: (lines + ipv6Lines) * 64 + Int(TWIN_COUNTERS_BYTES), name: "twin-connections")
    var tables = twin_tables(
      ipv4: memory.base, ipv6: memory.base + lines * 64, ipv4_lines: UInt64(lines),
      ipv6_lines: UInt64(ipv6Lines), counters: memory.base + (lines + ipv6Lines) * 64)
    var queue = Self.queue(kernel.memory)
    guard let twin = Self.create(&queue, &tables, keys, site) else { throw OutOfMemory() }
    self.twin = twin
  }

  deinit { twin_destroy(twin) }

  /// Whether the tables lie in reserved huge pages.
  var isHuge: Bool { memory.isHuge }

  func run(_ offer: Offer, now: Tick) {
    let twin = twin
    offer.run { twin_turn(twin, now.rawValue) }
  }

  func turn(now: Tick) { twin_turn(twin, now.rawValue) }

  func drops(_ reason: DropReason) -> UInt64 {
    Self.counted(reason).map { twin_drops(twin, $0) } ?? 0
  }

  func dropBytes(_ reason: DropReason) -> UInt64 {
    Self.counted(reason).map { twin_drop_bytes(twin, $0) } ?? 0
  }

  private static func counted(_ reason: DropReason) -> twin_reason? {
    switch reason {
    case .truncated: TWIN_TRUNCATED
    case .notIP: TWIN_NOT_IP
    case .badHeader: TWIN_BAD_HEADER
    case .fragmentUnmatched: TWIN_FRAGMENT
    case .unknownProtocol: TWIN_UNKNOWN_PROTOCOL
    case .noService: TWIN_NO_SERVICE
    case .noConnection: TWIN_NO_CONNECTION
    case .noRealServer: TWIN_NO_REAL_SERVER
    case .realServerRemoved: TWIN_REAL_SERVER_REMOVED
    default: nil
    }
  }

  var unrecorded: UInt64 { twin_unrecorded(twin) }

  private static func lines(_ entries: Int, perLine: Int) -> Int {
    var lines = 2
    while lines * perLine < entries { lines *= 2 }
    return lines
  }

  private static func create(
    _ queue: inout twin_queue, _ tables: inout twin_tables, _ keys: [UInt64], _ site: Site
  ) -> OpaquePointer? {
    let services = (0..<site.services).map { service in
      switch site.vip(service) {
      case .v4(let address):
        twin_service(
          vip_high: 0, vip_low: UInt64(address.rawValue), port: Site.port, protocol: 6, is_ipv6: 0)
      case .v6(let address):
        twin_service(
          vip_high: address.high, vip_low: address.low, port: Site.port, protocol: 6, is_ipv6: 1)
      }
    }
    let servers = (0..<site.services * site.realServers).map {
      twin_real_server(mac: Self.octets(site.realServerMAC($0)))
    }
    return services.withUnsafeBufferPointer { services in
      servers.withUnsafeBufferPointer { servers in
        var description = twin_site(
          services: services.baseAddress, service_count: UInt32(services.count),
          servers: servers.baseAddress, servers_per_service: UInt32(site.realServers),
          director_mac: Self.octets(Site.director))
        return twin_create(&queue, &tables, keys, &description, 0)
      }
    }
  }

  private static func octets(
    _ address: MACAddress
  ) -> (UInt8, UInt8, UInt8, UInt8, UInt8, UInt8) {
    let octets = address.octets
    return (octets[0], octets[1], octets[2], octets[3], octets[4], octets[5])
  }

  private static func queue(_ memory: QueueMemory) -> twin_queue {
    func ring(_ ring: RingMemory) -> twin_ring {
      twin_ring(
        producer: ring.producer, consumer: ring.consumer, flags: ring.flags,
        descriptors: ring.descriptors, entries: ring.entries)
    }
    return twin_queue(
      frames: memory.frames.assumingMemoryBound(to: UInt8.self), frame_bytes: memory.frameBytes,
      chunk_bytes: memory.chunkBytes, fill: ring(memory.fill), completion: ring(memory.completion),
      receive: ring(memory.receive), transmit: ring(memory.transmit))
  }
}

struct OutOfMemory: Error {}
