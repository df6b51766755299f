// SPDX-License-Identifier: Apache-2.0
import Logging

/// Tells a service manager that the director is alive as long as it is: it answers, and each of
/// its workers has turned since the last time.
public struct Watchdog: Sendable {
  private let director: Director
  private let manager: ServiceManager
  private let logger: Logger

  public init(director: Director, manager: ServiceManager, logger: Logger) {
    self.director = director
    self.manager = manager
    self.logger = logger
  }

  /// Until the task is cancelled; returns at once where the manager does not watch.
  public func run() async {
    guard let interval = manager.watchdogInterval else { return }
    var last = await director.workerSteps
    var wasStuck = false
    // sd_watchdog_enabled(3) asks for half the interval; a word that is late by as much again is
    // still in time.
    while (try? await Task.sleep(for: interval / 4)) != nil {
      let steps = await director.workerSteps
      let stuck = steps.indices.filter { steps[$0] == last[$0] }
      last = steps
      if stuck.isEmpty { manager.tell(.alive) }
      if !stuck.isEmpty, !wasStuck {
        logger.error(
          "workers stand still: the service manager is not told that all is well",
          metadata: ["queues": "\(stuck)"])
      }
      wasStuck = !stuck.isEmpty
    }
  }
}

extension Director {
  /// By queue; what stands still for long belongs to a worker that hangs.
  var workerSteps: [UInt64] { plane.views.map(\.sweepSteps) }
}
