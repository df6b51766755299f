// SPDX-License-Identifier: Apache-2.0
import CMachine
import ControlPlane
import DataPlane
import Foundation
import Synchronization

/// A worker in process that forwards without a pause, and takes a snapshot between two turns as the
/// shipped one does.
final class ScalePlane: ForwardingPlane, @unchecked Sendable {
  let views: [ForwarderView]
  let templates: Templates
  let egresses = [Egress(name: "lan0", macAddress: Site.director, mtu: 1500)]
  private let worker: BusyWorker
  private let lock = Mutex<[Snapshot]>([])
  private let thread = DispatchGroup()

  init(connections: Int) throws {
    templates = try Templates(entries: 1 << 10)
    worker = try BusyWorker(connections: connections, templates: templates)
    views = [worker.view]
  }

  /// From here on the worker's thread has it.
  func start() {
    let worker = Handed(worker)
    thread.enter()
    Thread.detachNewThread { [thread] in
      _ = machine_pin_thread("scale", Crew.cpus.last!)
      worker.value.run()
      thread.leave()
    }
  }

  func stop() {
    worker.isStopping.store(true, ordering: .releasing)
    thread.wait()
  }

  /// Microseconds of processor: the longest turn that adopted a snapshot since the last call, and
  /// the longest of 64 others.
  func takeLongestTurns() -> (adopting: Double, others: Double) {
    (
      Double(worker.adoptingNanoseconds.exchange(0, ordering: .relaxed)) / 1000,
      Double(worker.otherNanoseconds.exchange(0, ordering: .relaxed)) / 1000
    )
  }

  func publish(_ snapshot: Snapshot) {
    lock.withLock { snapshots in
      snapshots.append(snapshot)
      worker.publish(snapshot)
      let adopted = adoptedGeneration
      snapshots.removeAll { $0.generation < adopted }
    }
  }

  var adoptedGeneration: UInt64 { views[0].adoptedGeneration }
  var sweptGeneration: UInt64 { views[0].sweptGeneration }
  var failure: String? { nil }
  var queueStatistics: [QueueStatistics] { [] }
  var programCounters: ProgramCounters { ProgramCounters() }
  func open(_ ports: VirtualPorts) {}
  func close(_ ports: VirtualPorts) {}
  func setMACAddress(_ macAddress: MACAddress, of egress: EgressIndex) {}
}

/// Every address is on the LAN and answers.
struct KnownNeighbors: NeighborSource {
  let events = AsyncStream<NeighborEvent> { $0.finish() }

  func follow(_ address: IPAddress) -> Neighbor {
    Neighbor(macAddress: MACAddress(rawValue: 0x0200_0001_0001), isResolved: true)
  }

  func unfollow(_ address: IPAddress) {}
}
