// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation

/// What grows with the machine and the site: workers, connections, memory, real servers.
struct Scale: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Several workers at once, memory per connection, changes of many real servers.")

  @OptionGroup var options: Options

  func run() throws {
    let report = Report(
      room: "scale", rounds: options.roundCount, isSmoke: options.smoke, origin: options.origin)
    let perConnection = try measureMemory(report)
    try measureWorkers(report)
    try Self.complete(Handed((self, report))) { try await $0.0.measureChanges($0.1) }
    try report.finish(json: options.json)
    guard perConnection <= Self.octetsPerConnection else {
      throw ValidationError(
        "a connection takes \(perConnection) octets, more than \(Self.octetsPerConnection)")
    }
  }

  /// Waits for asynchronous work: an asynchronous main program starts threads before anything else,
  /// and callgrind (3.19), which counts the loop room's instructions, does not survive that.
  private static func complete<Input>(
    _ input: Handed<Input>, _ work: @escaping @Sendable (Input) async throws -> Void
  ) throws {
    let (done, outcome) = (DispatchSemaphore(value: 0), Outcome())
    Task.detached {
      do { try await work(input.value) } catch { outcome.error = error }
      done.signal()
    }
    done.wait()
    if let error = outcome.error { throw error }
  }

  private final class Outcome: @unchecked Sendable {
    var error: (any Error)?
  }

  /// Four entries of 16 octets, and the rounding of an allocation to pages.
  private static let octetsPerConnection = 64.5
}
