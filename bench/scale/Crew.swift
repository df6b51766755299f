// SPDX-License-Identifier: Apache-2.0
import CMachine
import Foundation
import Synchronization

/// Threads that do the same at the same time, each pinned to a CPU of its own.
enum Crew {
  /// CPUs that this process may run on.
  static let cpus: [Int32] = {
    var cpus = [Int32](repeating: 0, count: 1024)
    return Array(cpus.prefix(Int(machine_allowed_cpus(&cpus, Int32(cpus.count)))))
  }()

  /// Runs `work` once for each of `members` at once, begun by all together; returns what came of
  /// it in their order. Member n has the n-th CPU from the end: the first is everybody's.
  static func run<Member: AnyObject, Result: Sendable>(
    _ members: [Member], _ work: @escaping @Sendable (Member) -> Result
  ) -> [Result] {
    let ledger = Ledger<Result>(count: members.count)
    let group = DispatchGroup()
    for (number, member) in members.enumerated() {
      let member = Handed(member)
      group.enter()
      Thread.detachNewThread {
        _ = machine_pin_thread("scale-\(number)", cpus[cpus.count - 1 - number % cpus.count])
        ledger.meet()
        let result = work(member.value)
        ledger.results.withLock { $0[number] = result }
        group.leave()
      }
    }
    group.wait()
    return ledger.results.withLock { results in members.indices.map { results[$0]! } }
  }

  /// Does `work` on the first CPU, which the threads that it starts have too.
  static func onFirstCPU<Made: Sendable>(
    _ work: @escaping @Sendable () throws -> Made
  ) throws -> Made {
    let done = DispatchSemaphore(value: 0)
    let made = Mutex<Result<Made, any Error>?>(nil)
    Thread.detachNewThread {
      _ = machine_pin_thread("first", cpus[0])
      let result = Result { try work() }
      made.withLock { $0 = result }
      done.signal()
    }
    done.wait()
    return try made.withLock { try $0!.get() }
  }
}

/// Given to one thread, which alone uses it until it ends.
struct Handed<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}

private final class Ledger<Result: Sendable>: Sendable {
  let results = Mutex<[Int: Result]>([:])
  private let present = Atomic(0)
  private let count: Int

  init(count: Int) { self.count = count }

  /// Returns when all have come.
  func meet() {
    present.wrappingAdd(1, ordering: .acquiringAndReleasing)
    while present.load(ordering: .acquiring) < count {}
  }
}
