// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import DataPlane
import Synchronization

/// A forwarding plane without sockets: real `Forwarder`s, to which the test hands frames.
public final class InProcessPlane: ForwardingPlane, @unchecked Sendable {
  public let desks: [ForwarderDesk]
  public let templates: Templates
  public let egresses: [Egress]
  private let lock = Mutex<[Snapshot]>([])
  private let journal = Mutex<[Step]>([])
  private let refusal = Mutex<String?>(nil)
  private let ownMACAddress = Mutex(MACAddress.director)
  private let openedPorts = Mutex<Set<VirtualPorts>>([])

  /// - Parameters:
  ///   - ipv4Entries: as many as `entries` if nil.
  ///   - interfaces: how many packets may leave by; all have the first one's MAC address.
  public init(
    workers: Int = 1, entries: Int = 1 << 10, ipv4Entries: Int? = nil, interfaces: Int = 1
  ) throws {
    let templates = try Templates(entries: entries)
    let localities = try Localities()
    desks = try (0..<workers).map {
      try ForwarderDesk(
        entries: entries, ipv4Entries: ipv4Entries, now: .now(), templates: templates,
        localities: localities,
        sweepsTemplates: $0 == 0)
    }
    self.templates = templates
    for desk in desks { desk.forwarder.join(desks.filter { $0 !== desk }.map(\.view)) }
    egresses = (0..<interfaces).map {
      Egress(name: "lan\($0)", macAddress: .director, mtu: 1500)
    }
  }

  public func publish(_ snapshot: Snapshot) {
    lock.withLock { snapshots in
      for desk in desks { desk.forwarder.adopt(snapshot) }
      snapshots.append(snapshot)
      journal.withLock { $0.append(.published(generation: snapshot.generation)) }
    }
  }

  public var adoptedGeneration: UInt64 { views.map(\.adoptedGeneration).min()! }
  public var sweptGeneration: UInt64 { views.map(\.sweptGeneration).min()! }
  public var failure: String? { nil }
  /// Without what sockets and rings count: the frames are handed over by the test.
  public var queueStatistics: [QueueStatistics] {
    views.enumerated().map { QueueStatistics(queue: $0, $1) }
  }
  /// None: there is no program either.
  public var programCounters: ProgramCounters { ProgramCounters() }
  public var views: [ForwarderView] { desks.map(\.view) }

  /// What the director did, in order.
  public enum Step: Hashable, Sendable {
    case published(generation: UInt64)
    case opened(VirtualPorts)
    case closed(VirtualPorts)
  }

  public struct Refusal: Error, CustomStringConvertible {
    public let description: String
  }

  public func open(_ ports: VirtualPorts) throws {
    if let sentence = refusal.withLock({ $0 }) { throw Refusal(description: sentence) }
    openedPorts.withLock { _ = $0.insert(ports) }
    journal.withLock { $0.append(.opened(ports)) }
  }

  public func close(_ ports: VirtualPorts) {
    openedPorts.withLock { _ = $0.remove(ports) }
    journal.withLock { $0.append(.closed(ports)) }
  }

  public var steps: [Step] { journal.withLock { $0 } }

  /// Refuses to open ports with this sentence, or opens them again.
  public func refuse(_ sentence: String?) { refusal.withLock { $0 = sentence } }

  public func setMACAddress(_ macAddress: MACAddress, of egress: EgressIndex) {
    ownMACAddress.withLock { $0 = macAddress }
  }

  /// What the director was last told of its interface.
  public var macAddress: MACAddress { ownMACAddress.withLock { $0 } }

  /// The ports whose packets would come to the workers.
  public var opened: Set<VirtualPorts> { openedPorts.withLock { $0 } }
  public var generations: [UInt64] { lock.withLock { $0.map(\.generation) } }

  /// Hands a frame to a worker.
  public func forward(
    _ packet: PacketBuilder, worker: Int = 0
  ) -> (verdict: Verdict, frame: [UInt8]) {
    lock.withLock { _ in desks[worker].forward(packet) }
  }

  /// All workers sweep every line at least once.
  public func sweepAll() {
    lock.withLock { _ in desks.forEach { $0.sweepAll() } }
  }
}

/// Neighbours as the test says. Addresses of the site's LAN are on-link.
public final class StatedNeighbors: NeighborSource {
  public let events: AsyncStream<NeighborEvent>
  private let continuation: AsyncStream<NeighborEvent>.Continuation
  private let stated: Mutex<[IPAddress: Neighbor]>
  private let followedAddresses = Mutex<Set<IPAddress>>([])

  /// Addresses that are not stated are behind 192.168.1.1.
  public init(_ stated: [IPAddress: Neighbor]) {
    self.stated = Mutex(stated)
    (events, continuation) = AsyncStream.makeStream()
  }

  /// 192.168.1.151…159 and 2001:db8::151…159, resolved to the MAC addresses 1…9 of the site.
  public static func site() -> StatedNeighbors {
    var stated: [IPAddress: Neighbor] = [:]
    for number in UInt8(1)...9 {
      let neighbor = Neighbor(macAddress: .realServer(number), isResolved: true)
      stated[IPAddress("192.168.1.15\(number)")!] = neighbor
      stated[IPAddress("2001:db8::15\(number)")!] = neighbor
    }
    return StatedNeighbors(stated)
  }

  public func follow(_ address: IPAddress) throws(DirectorError) -> Neighbor {
    guard let neighbor = stated.withLock({ $0[address] }) else {
      throw .behindGateway(address, gateway: IPAddress("192.168.1.1")!)
    }
    followedAddresses.withLock { _ = $0.insert(address) }
    return neighbor
  }

  public func unfollow(_ address: IPAddress) {
    followedAddresses.withLock { _ = $0.remove(address) }
  }

  public var followed: Set<IPAddress> { followedAddresses.withLock { $0 } }

  /// What `follow` says from now on.
  public func state(_ address: IPAddress, as neighbor: Neighbor) {
    stated.withLock { $0[address] = neighbor }
  }

  /// An interface changes.
  public func change(_ event: NeighborEvent) { continuation.yield(event) }

  /// The network says so to those who follow.
  public func change(_ address: IPAddress, to neighbor: Neighbor) {
    state(address, as: neighbor)
    continuation.yield(.neighbor(address, neighbor))
  }
}
