// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CTwin
import DataPlane

/// The same in C.
final class TwinSubject: Subject {
  let name = SubjectName.twin
  let kernel = RingKernel()
  private let memory: SharedMemory
  fileprivate let twin: OpaquePointer

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

  /// Address of the record of a packet of `count` octets, which parsing must not turn away.
  func record(of packet: UnsafeMutableRawPointer, count: UInt32) throws -> UInt64 {
    guard let record = twin_record(twin, packet.assumingMemoryBound(to: UInt8.self), count) else {
      throw ValidationError("the twin turns a packet away that it forwards")
    }
    return UInt64(UInt(bitPattern: record))
  }

  var decisions: Decisions? {
    func counts(_ figure: (OpaquePointer, twin_reason) -> UInt64) -> [UInt64] {
      DropReason.allCases.map { Self.counted($0).map { figure(twin, $0) } ?? 0 }
    }
    return Decisions(
      unrecorded: twin_unrecorded(twin), drops: counts(twin_drops),
      dropBytes: counts(twin_drop_bytes))
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

/// The memory accesses that no director can leave out, on the memory of a twin whose connections
/// are open.
final class LimitSubject: Subject {
  let name = SubjectName.limit
  private let base: TwinSubject
  /// Of the connections, in the order of their packets; of packets that are all dropped, none.
  private let records: [UInt64]

  init(_ base: TwinSubject, records: [UInt64]) {
    self.base = base
    self.records = records
  }

  var kernel: RingKernel { base.kernel }
  var decisions: Decisions? { nil }

  func run(_ offer: Offer, now: Tick) {
    let (twin, forwards) = (base.twin, Int32(records.isEmpty ? 0 : 1))
    offer.run { limit_turn(twin, now.rawValue, forwards) }
  }

  func turn(now: Tick) { limit_turn(base.twin, now.rawValue, 1) }

  /// Tells the turn where the record of the packet at `position` is.
  func mark(_ frame: UnsafeMutableRawPointer, _ position: Int) {
    frame.storeBytes(of: records[position % records.count], as: UInt64.self)
  }
}

struct OutOfMemory: Error {}
