// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import DataPlane
import Foundation
import Glibc
import Synchronization

extension Measure {
  static let besideChecks = "beside-checks"
  /// Of each round; each has a slice in every company, in random order.
  private static let blocks = 60

  /// What this process does on the first CPU during a slice.
  private enum Company: String, CaseIterable {
    case alone
    /// The same once more: how far two of a kind are apart.
    case again
    /// Another load that takes as much of the CPU as the checks.
    case spinner
    case checks = "martinet"
  }

  /// What came of a slice.
  private struct Slice {
    var nanosecondsPerPacket: Double
    /// Of its time, that all other threads of this process were running.
    var othersShare: Double
  }

  /// Packets of established connections on the last CPU, alone and while this process makes a
  /// thousand checks a second on the first; and beside a spinner, for a CPU that is busy costs its
  /// neighbour something on many machines, whatever it does. Slices are compared within blocks of a
  /// second's part, so that what drifts more slowly is in none of the ratios.
  func measureBesideChecks() throws -> [Row] {
    let name = Self.besideChecks
    guard Crew.cpus.count > 1 else {
      progress("\(name): left out, there is one CPU")
      return []
    }
    progress("\(name): preparing")
    let workload = Workload(name: name, flows: options.smoke ? 1000 : 1_000_000)
    let run = Run(
      try MartinetSubject(workload, seed: Loop.seed), workload,
      order: Run.order(workload, seed: Loop.seed))
    _ = Crew.run([run]) { $0.prepare() }
    let checks = Handed(try RunningChecks())
    // The first of each is not counted: it warms up, and tells what the spinner has to take.
    var share = 0.0
    for _ in 0..<2 { share = try slice(run, beside: .checks, checks, share).othersShare }
    var slices: [Company: [Slice]] = [:]
    var generator = SplitMix(state: Loop.seed)
    for _ in 0..<options.roundCount * (options.smoke ? 2 : Self.blocks) {
      for company in Company.allCases.shuffled(using: &generator) {
        slices[company, default: []].append(try slice(run, beside: company, checks, share))
      }
      share = median(slices[.checks]!.map(\.othersShare))
    }
    return rows(name, slices)
  }

  private func slice(
    _ run: Run, beside company: Company, _ checks: Handed<RunningChecks>, _ share: Double
  ) throws -> Slice {
    let spinner = company == .spinner ? try Spinner(share: share) : nil
    if company == .checks { try Crew.onFirstCPU { checks.value.start() } }
    // Some 50 ms, and as much for the frames that are made between the turns.
    let packets = 1 << 20
    let slice = Crew.run([run]) { run in
      // Not counted: the thread is new, and so are checks, which a site has for days.
      run.pass(packets / 8)
      let start = (all: nanoseconds(CLOCK_PROCESS_CPUTIME_ID), own: Run.processorNanoseconds)
      let begun = nanoseconds(CLOCK_MONOTONIC)
      let spent = run.pass(packets)
      let all = nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - start.all
      let own = Run.processorNanoseconds - start.own
      return Slice(
        nanosecondsPerPacket: Double(spent) / Double(packets),
        othersShare: (Double(all) - Double(own)) / Double(nanoseconds(CLOCK_MONOTONIC) - begun))
    }[0]
    spinner?.stop()
    if company == .checks { try Crew.onFirstCPU { try checks.value.stop() } }
    return slice
  }

  private func rows(_ name: String, _ slices: [Company: [Slice]]) -> [Row] {
    func times(_ company: Company) -> [Double] { slices[company]!.map(\.nanosecondsPerPacket) }
    func row(
      _ company: Company, _ metric: String, _ unit: String, _ estimate: Estimate,
      peer: Company? = nil
    ) -> Row {
      Row(
        case: name, subject: company.rawValue, metric: metric, unit: unit, median: estimate.middle,
        low: estimate.low, high: estimate.high, samples: slices[company]!.count,
        peer: peer?.rawValue, ratio: peer.map { _ in estimate.middle / 100 }, pages: nil,
        origin: options.origin)
    }
    // Of two slices of a block: half of what one of them has by chance.
    let aloneTwice = zip(times(.alone), times(.again)).map { ($0 + $1) / 2 }
    func comparison(
      _ company: Company, _ peer: Company, _ metric: String, base: [Double]? = nil
    ) -> Row {
      let estimate = Estimate(zip(times(company), base ?? times(peer)).map { 100 * $0 / $1 })
      let interval = String(format: "%.2f to %.2f", estimate.low, estimate.high)
      progress("  \(company.rawValue): \(interval) % \(metric)")
      return row(company, metric, "%", estimate, peer: peer)
    }
    return [
      comparison(.checks, .alone, "of the time alone", base: aloneTwice),
      comparison(.checks, .spinner, "of the time by a spinner"),
      comparison(.spinner, .alone, "of the time alone", base: aloneTwice),
      comparison(.again, .alone, "of the time alone"),
    ]
      + Company.allCases.map { row($0, "time per packet", "ns", Estimate(times($0))) }
      + Company.allCases.map {
        row($0, "load on the first CPU", "%", Estimate(slices[$0]!.map { 100 * $0.othersShare }))
      }
  }
}

/// A thread that keeps the first CPU busy for a share of the time, on the beats of checks.
private final class Spinner: Sendable {
  private static let beatNanoseconds: UInt64 = 50_000_000
  private let isStopped = Atomic(false)
  private let end = DispatchSemaphore(value: 0)

  init(share: Double) throws {
    let busy = UInt64(min(1, max(0, share)) * Double(Self.beatNanoseconds))
    try Crew.onFirstCPU { [self] in
      Thread.detachNewThread { [self] in
        while !isStopped.load(ordering: .relaxed) {
          let start = nanoseconds(CLOCK_THREAD_CPUTIME_ID)
          while nanoseconds(CLOCK_THREAD_CPUTIME_ID) < start + busy {}
          usleep(UInt32((Self.beatNanoseconds - busy) / 1000))
        }
        end.signal()
      }
    }
  }

  func stop() {
    isStopped.store(true, ordering: .relaxed)
    end.wait()
  }
}
