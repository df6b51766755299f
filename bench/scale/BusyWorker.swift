// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc
import Synchronization

/// Turns of a `WorkerLoop` with packets of established connections, 64 each.
final class BusyWorker: @unchecked Sendable {
  let view: ForwarderView
  let isStopping = Atomic(false)
  /// The longest turn that began with a snapshot to adopt, and the longest of the first 64 that did
  /// not; 0 begins anew.
  let adoptingNanoseconds = Atomic<UInt64>(0)
  let otherNanoseconds = Atomic<UInt64>(0)
  private let kernel = RingKernel()
  private let traffic: Traffic
  private let connections: UInt32
  private var loop: WorkerLoop
  private var adopted: UInt = 0
  private let published = Atomic<UInt>(0)
  private var others = 0

  init(connections: Int, templates: Templates) throws {
    let workload = Workload(name: "", flows: connections, services: 1)
    traffic = Traffic(workload)
    self.connections = UInt32(connections)
    let forwarder = try Forwarder(
      ForwarderConfiguration(ipv4Entries: workload.entries, ipv6Entries: 8), templates: templates,
      now: .now())
    view = forwarder.view
    loop = WorkerLoop([kernel.memory], forwarder: forwarder)
  }

  /// The caller keeps the snapshot alive until a later one has been adopted.
  func publish(_ snapshot: Snapshot) {
    published.store(
      UInt(bitPattern: Unmanaged.passUnretained(snapshot).toOpaque()), ordering: .releasing)
  }

  func run() {
    var (flow, flags) = (UInt32(0), Traffic.syn)
    while !isStopping.load(ordering: .acquiring) {
      kernel.stage(Forwarder.batchLimit) { frame in
        defer {
          flow += 1
          if flow == connections { (flow, flags) = (0, Traffic.ack) }
        }
        return traffic.write(flow, flags: flags, to: frame)
      }
      kernel.offer(batch: Forwarder.batchLimit).run { turn() }
      kernel.drain()
    }
  }

  private func turn() -> UInt32 {
    let start = Run.processorNanoseconds
    let address = published.load(ordering: .acquiring)
    let isNew = address != adopted
    if isNew, let pointer = UnsafeRawPointer(bitPattern: address) {
      loop.adopt(Unmanaged<Snapshot>.fromOpaque(pointer).takeUnretainedValue())
      adopted = address
    }
    let received = loop.turn(now: .now())
    note(Run.processorNanoseconds - start, isNew)
    return received
  }

  private func note(_ nanoseconds: UInt64, _ isNew: Bool) {
    if isNew {
      adoptingNanoseconds.max(nanoseconds, ordering: .relaxed)
      return
    }
    if otherNanoseconds.load(ordering: .relaxed) == 0 { others = 0 }
    others += 1
    if others <= 64 { otherNanoseconds.max(nanoseconds, ordering: .relaxed) }
  }
}
