// SPDX-License-Identifier: Apache-2.0
import TestSupport

@testable import DataPlane

/// One worker's scheduler for one service, on counts that the test sets.
final class SchedulerDesk {
  private static let indices = Int(UInt16.max) + 1

  /// By real server index, as `ConnectionLoads` has them. Long lists must be told: `add`.
  let words = UnsafeMutablePointer<UInt64>.allocate(capacity: indices)
  private let overloads = UnsafeMutablePointer<UInt32>.allocate(capacity: indices)
  private let peers = UnsafeMutablePointer<UnsafeMutablePointer<UInt64>>.allocate(
    capacity: ConnectionLoads.peerLimit)
  private let nodes = UnsafeMutablePointer<StandingNodes.Node>.allocate(
    capacity: StandingNodes.limit)
  private let localities: Localities
  let hashKey: HashKey
  private(set) var loads: ConnectionLoads
  var cursor = SchedulerCursor(place: 0, currentWeight: 0)
  private var snapshot: Snapshot?
  var now = Tick(rawValue: UInt32.max - 1000)

  /// - Parameter localities: those of several desks; this one's own if nil.
  init(seed: UInt64 = 1, localities: Localities? = nil) throws {
    self.localities = try localities ?? Localities()
    words.initialize(repeating: 0, count: Self.indices)
    overloads.initialize(repeating: 0, count: Self.indices)
    nodes.initialize(
      repeating: StandingNodes.Node(standing: Standing(), parent: 0, turn: 0),
      count: StandingNodes.limit)
    loads = ConnectionLoads(
      own: words, peers: peers, overloads: overloads, standings: StandingNodes(nodes: nodes))
    var generator = Seed(seed)
    hashKey = HashKey(using: &generator)
  }

  deinit {
    words.deallocate()
    overloads.deallocate()
    peers.deallocate()
    nodes.deallocate()
  }

  /// Counts `peer`'s connections too, as long as that is there.
  func join(_ peer: SchedulerDesk) {
    (peers + loads.peerCount).initialize(to: peer.words)
    loads.peerCount += 1
  }

  func adopt(
    _ scheduler: Scheduler, flags: SchedulerFlags = [],
    _ realServers: [SnapshotSpecification.RealServer]
  ) throws {
    let old = snapshot
    let generation = (old?.generation ?? 0) + 1
    let specification = SnapshotSpecification(
      services: [
        .init(
          index: ServiceIndex(rawValue: 1), key: .web, scheduler: scheduler, flags: flags,
          revision: UInt32(generation), realServers: realServers)
      ], egressMACAddresses: [.director])
    let new = try Snapshot(specification, generation: generation)
    cursor.follow(
      from: old?.content.pointee.services[1], in: (old ?? new).content.pointee,
      to: new.content.pointee.services[1], in: new.content.pointee)
    localities.table.follow(
      from: (old ?? new).content.pointee, to: new.content.pointee)
    loads.standings.forget(0..<new.content.pointee.nodeCount)
    snapshot = new
  }

  /// Changes a real server's connections as a worker does.
  func add(_ change: UInt64, to realServer: UInt16) {
    guard let snapshot else { return }
    loads.add(change, to: realServer, in: snapshot.content)
  }

  /// What is decided for a packet from there.
  func decision(client: UInt32, port: UInt16) -> Decision? {
    guard let snapshot else { return nil }
    return Decision(
      snapshot.content, service: 1,
      client: Client(ipv4: UInt64(client) << 32 | UInt64(port) << 16), loads: loads,
      localities: localities.table, hashKey: hashKey, now: now)
  }

  /// The index of the real server that a packet from there is given, nil where none.
  func schedule(client: UInt32, port: UInt16) -> UInt16? {
    guard let decision = decision(client: client, port: port) else { return nil }
    return cursor.schedule(decision).map { decision.members[$0].realServer }
  }
}
