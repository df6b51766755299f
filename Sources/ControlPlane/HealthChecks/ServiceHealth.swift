// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What is checked of a service's real servers, and what follows from it.
public struct ServiceHealth: Hashable, Sendable {
  /// Asked of each real server.
  public var checks: [HealthCheck] = []
  /// Asked of one real server besides.
  public var ownChecks: [IPAddress: [HealthCheck]] = [:]
  public var onFailure = FailureAction.inhibit
  /// The weight that has to be up, all real servers together, for the service to be whole;
  /// at least 1.
  public var quorum: UInt32 = 1
  /// So much more than the quorum has to be up to gain it, and so much less to lose it; less than
  /// the quorum.
  public var hysteresis: UInt32 = 0
  /// Takes all new connections while there is no quorum.
  public var sorryServer: IPAddress?
  /// How long one that came up takes to get its whole weight; 0 for at once.
  public var slowStartSeconds: UInt32 = 0

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
