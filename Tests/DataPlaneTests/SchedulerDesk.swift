// SPDX-License-Identifier: Apache-2.0
import TestSupport

@testable import DataPlane

/// One worker's scheduler for one service, on counts that the test sets.
final class SchedulerDesk {
  private static let indices = Int(UInt16.max) + 1

  /// By real server index, as `ConnectionLoads` has them.
  let words = UnsafeMutablePointer<UInt64>.allocate(capacity: indices)
  private let overloads = UnsafeMutablePointer<UInt32>.allocate(capacity: indices)
  private let peers = UnsafeMutablePointer<UnsafeMutablePointer<UInt64>>.allocate(capacity: 1)
  private let localities: Localities
  private let hashKey: HashKey
  private var cursor = SchedulerCursor(place: 0, currentWeight: 0)
  private var snapshot: Snapshot?
  var now = Tick(rawValue: UInt32.max - 1000)

  init(seed: UInt64 = 1) throws {
    localities = try Localities()
    words.initialize(repeating: 0, count: Self.indices)
    overloads.initialize(repeating: 0, count: Self.indices)
    var generator = Seed(seed)
    hashKey = HashKey(using: &generator)
  }

  deinit {
    words.deallocate()
    overloads.deallocate()
    peers.deallocate()
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
    snapshot = new
  }

  /// The index of the real server that a packet from there is given, nil where none.
  func schedule(client: UInt32, port: UInt16) -> UInt16? {
    guard let snapshot else { return nil }
    let decision = Decision(
      snapshot.content, service: 1,
      client: Client(ipv4: UInt64(client) << 32 | UInt64(port) << 16),
      loads: ConnectionLoads(own: words, peers: peers, overloads: overloads),
      localities: localities.table, hashKey: hashKey, now: now)
    return cursor.schedule(decision).map { decision.members[$0].realServer }
  }
}
