// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import DataPlane
import Synchronization

/// Checks whose results the test states. Those it says nothing of are as they begin.
public final class StatedChecks: CheckSource {
  public let changes: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation
  private let made = Mutex<Set<CheckInstance>>([])
  private let stated = Mutex<[CheckInstance: Bool]>([:])

  private let told = Mutex<[IPAddress: Neighbor]>([:])

  /// What the director last said of real servers whose VIP is asked.
  public var neighbors: [IPAddress: Neighbor] { told.withLock { $0 } }

  public init() {
    (changes, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  public func make(
    _ checks: Set<CheckInstance>, neighbors: [IPAddress: Neighbor]
  ) -> Set<CheckInstance> {
    made.withLock { $0 = checks }
    told.withLock { $0 = neighbors }
    return checks.filter { !isUp($0) }
  }

  public func statuses() -> [CheckStatus] {
    present.enumerated().map {
      CheckStatus(instance: $1, number: UInt64($0), isUp: isUp($1))
    }
  }

  /// What the director has made now, by name.
  public var present: [CheckInstance] {
    made.withLock { $0.sorted { "\($0)" < "\($1)" } }
  }

  /// All checks whose name ends so have this result, and the director is told.
  public func state(_ end: String, isUp: Bool) {
    for instance in present where "\(instance)".hasSuffix(end) {
      stated.withLock { $0[instance] = isUp }
    }
    continuation.yield()
  }

  private func isUp(_ instance: CheckInstance) -> Bool {
    stated.withLock { $0[instance] } ?? (instance.schedule.initial == .up)
  }
}
