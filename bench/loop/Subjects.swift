// SPDX-License-Identifier: Apache-2.0
import CTwin
import DataPlane

/// The site that both subjects direct: 16 IPv4 TCP services, two real servers each, rr.
enum Site {
  static let serviceCount = 16
  static let realServersPerService = 2
  static let firstVIP: UInt32 = 0xc0a8_0101
  static let port: UInt16 = 80
  static let director = MACAddress(rawValue: 0x0200_0000_00d1)

  static func realServerMAC(_ index: Int) -> MACAddress {
    MACAddress(rawValue: 0x0200_0001_0000 | UInt64(index))
  }

  static func specification() -> SnapshotSpecification {
    let services = (0..<serviceCount).map { service in
      SnapshotSpecification.Service(
        index: ServiceIndex(rawValue: UInt16(service + 1)),
        key: VirtualServiceKey(
          address: .v4(IPv4Address(rawValue: firstVIP + UInt32(service))), ipProtocol: .tcp,
          port: Port(port)),
        scheduler: .rr, revision: 1,
        realServers: (0..<realServersPerService).map {
          let index = service * realServersPerService + $0
          return SnapshotSpecification.RealServer(
            index: RealServerIndex(rawValue: UInt16(index + 1)), weight: 1,
            macAddress: realServerMAC(index), isResolved: true)
        })
    }
    return SnapshotSpecification(services: services, egressMACAddresses: [director])
  }
}

/// One implementation with its own table, rings and frames.
protocol Subject: AnyObject {
  var name: String { get }
  var kernel: RingKernel { get }
  /// Turns until nothing is left to receive.
  func run(now: Tick)
}

/// The loop as Martinet ships it.
final class MartinetSubject: Subject {
  let name = "martinet"
  let kernel = RingKernel()
  private var loop: WorkerLoop
  private let snapshot: Snapshot

  init(entries: Int, seed: UInt64) throws {
    var generator = SplitMix(state: seed)
    let forwarder = try Forwarder(
      ForwarderConfiguration(
        ipv4Entries: entries, ipv6Entries: 8, hashKey: HashKey(using: &generator)),
      now: Tick(rawValue: 0))
    snapshot = try Snapshot(Site.specification(), generation: 1)
    loop = WorkerLoop(kernel.memory, forwarder: forwarder)
    loop.adopt(snapshot)
  }

  func run(now: Tick) { while loop.turn(now: now) > 0 {} }
}

/// The same in C.
final class TwinSubject: Subject {
  let name = "c-twin"
  let kernel = RingKernel()
  private let table: SharedMemory
  private let twin: OpaquePointer

  init(entries: Int, seed: UInt64) throws {
    var generator = SplitMix(state: seed)
    let keys = [
      generator.next(), generator.next() | 1, generator.next(), generator.next() | 1,
    ]
    var lines = 2
    while lines * 4 < entries { lines *= 2 }
    table = try SharedMemory(byteCount: lines * 64, name: "twin-connections")
    let services = (0..<Site.serviceCount).map {
      twin_service(vip: Site.firstVIP + UInt32($0), port: Site.port, protocol: 6)
    }
    let servers = (0..<Site.serviceCount * Site.realServersPerService).map {
      let octets = Site.realServerMAC($0).octets
      return twin_real_server(
        mac: (octets[0], octets[1], octets[2], octets[3], octets[4], octets[5]))
    }
    var queue = Self.queue(kernel.memory)
    guard
      let twin = twin_create(
        &queue, table.base, UInt64(lines), keys, services, UInt32(services.count), servers,
        UInt32(Site.realServersPerService), Site.director.octets, 0)
    else { throw OutOfMemory() }
    self.twin = twin
  }

  deinit { twin_destroy(twin) }

  func run(now: Tick) { while twin_turn(twin, now.rawValue) > 0 {} }

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

/// SplitMix64, so that both subjects draw the same secret.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}

struct OutOfMemory: Error {}
