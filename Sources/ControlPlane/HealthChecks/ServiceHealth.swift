// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What is checked of a service's real servers, and what follows from it.
public struct ServiceHealth: Hashable, Sendable {
  /// Asked of each real server.
  public var checks: [HealthCheck] = []
  /// Asked of one real server besides.
  public var ownChecks: [IPAddress: [HealthCheck]] = [:]
  public var onFailure = FailureAction.inhibit

  /// What becomes of a real server while a check of it is down.
  public enum FailureAction: String, CaseIterable, Sendable {
    /// Weight 0: it takes no new connections, keeps those it has.
    case inhibit
    /// It is taken out; its connections go by the service's `removal`.
    case remove
  }

  public init() {}

  /// Whether nothing is checked and nothing follows.
  var isEmpty: Bool { self == ServiceHealth() }

  /// All that is asked of a real server of the service `key`.
  func instances(
    of realServer: RealServerConfiguration, in key: VirtualServiceKey
  ) -> [CheckInstance] {
    (checks + (ownChecks[realServer.address] ?? [])).map {
      CheckInstance($0, of: realServer, in: key)
    }
  }
}
