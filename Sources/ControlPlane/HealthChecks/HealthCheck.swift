// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What real servers are asked, how often, and what their answers come to.
public struct HealthCheck: Hashable, Sendable {
  public var kind: Kind
  /// nil for the real server's own port in the service.
  public var port: Port?
  public var schedule = CheckSchedule()

  /// The question, and what passes for an answer.
  public enum Kind: Hashable, Sendable {
    /// A connection is taken.
    case tcp
  }

  public init(
    _ kind: Kind, port: Port? = nil, schedule: CheckSchedule = CheckSchedule()
  ) {
    self.kind = kind
    self.port = port
    self.schedule = schedule
  }
}

/// When a check is made, and how many results in a row change its state.
public struct CheckSchedule: Hashable, Sendable {
  /// From the beginning of one to that of the next.
  public var intervalMilliseconds: UInt32 = 5000
  /// What is not answered by then has failed.
  public var timeoutMilliseconds: UInt32 = 2000
  /// Successes in a row that bring it up.
  public var rise: UInt32 = 2
  /// Failures in a row that bring it down.
  public var fall: UInt32 = 3
  /// So much of the interval, in percent, comes or goes by chance each time.
  public var jitterPercent: UInt32 = 10
  /// Until there are results.
  public var initial = InitialState.up

  public enum InitialState: String, CaseIterable, Sendable {
    /// As keepalived.
    case up
    /// As keepalived's `alpha`: no connections before the first success.
    case down
  }

  public init() {}
}

extension HealthCheck.Kind {
  /// Its word in the configuration file.
  public var word: String {
    switch self {
    case .tcp: "tcp"
    }
  }
}

/// A check of one real server: what services ask alike of the same real server is asked once.
public struct CheckInstance: Hashable, Sendable {
  public var kind: HealthCheck.Kind
  public var schedule: CheckSchedule
  public var address: IPAddress
  public var port: Port

  /// - Parameter realServer: of the service `key`.
  init(_ check: HealthCheck, of realServer: RealServerConfiguration, in key: VirtualServiceKey) {
    kind = check.kind
    schedule = check.schedule
    address = realServer.address
    port = check.port ?? (realServer.port == Port(0) ? key.port : realServer.port)
  }
}

extension CheckInstance: CustomStringConvertible {
  /// `tcp 192.0.2.1:80`
  public var description: String {
    let host = if case .v6 = address { "[\(address)]" } else { "\(address)" }
    return "\(kind.word) \(host):\(port.rawValue)"
  }
}

/// What is wrong with a check; the cause and the mend.
public enum HealthCheckError: Error, Hashable, Sendable, CustomStringConvertible {
  case noPort

  public var description: String {
    switch self {
    case .noPort: "the service has no port of its own: give the check a `port`"
    }
  }
}

extension HealthCheck {
  /// Throws what is wrong with it where it asks `port` unless it names one.
  func validate(_ port: Port) throws(HealthCheckError) {
    guard self.port ?? port != Port(0) else { throw .noPort }
  }
}
