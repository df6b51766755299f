// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// The daemon as a service manager sees it: ready, alive, reloading, stopping. Nothing of it
/// happens where no manager waits.
final class ManagedService: Service {
  private let manager: ServiceManager?
  private let watchdog: Watchdog?
  private let status: String
  private let missing: Mutex<Int>

  /// - Parameter parts: how many have to be ready before all is.
  init(director: Director, interfaces: String, logger: Logger, parts: Int) {
    manager = ServiceManager(environment: ProcessInfo.processInfo.environment, logger: logger)
    watchdog = manager.map { Watchdog(director: director, manager: $0, logger: logger) }
    status = "forwarding on \(interfaces)"
    missing = Mutex(parts)
  }

  @Sendable func partIsReady() {
    let isLast = missing.withLock { missing in
      missing -= 1
      return missing == 0
    }
    if isLast { manager?.tell(.ready, .status(status)) }
  }

  func reloadBegins() { manager?.tell(.reloading) }

  /// - Parameter refusal: why nothing is changed.
  func reloadEnded(refusal: String?) {
    manager?.tell(
      .ready, .status(status + (refusal.map { "; the last reload was refused: \($0)" } ?? "")))
  }

  func run() async throws {
    await cancelWhenGracefulShutdown { [watchdog] in
      await watchdog?.run()
      try? await gracefulShutdown()
    }
    manager?.tell(.stopping)
  }
}
