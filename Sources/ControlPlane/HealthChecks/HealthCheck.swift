// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What real servers are asked, how often, and what their answers come to.
public struct HealthCheck: Hashable, Sendable {
  public var kind: Kind
  /// nil for the real server's own port in the service.
  public var port: Port?
  public var target = Target.realServer
  public var schedule = CheckSchedule()

  /// To which of a real server's addresses the question goes.
  public enum Target: String, CaseIterable, Sendable {
    case realServer = "real-server"
    /// To the VIP at the real server's MAC address, as clients' packets do: one that does not own
    /// the VIP does not answer.
    case vip
  }

  /// The question, and what passes for an answer.
  public enum Kind: Hashable, Sendable {
    /// A connection is taken.
    case tcp
    case http(HTTPQuestion)
    case https(HTTPQuestion, TLSQuestion)
    case udp(DatagramQuestion)
    case dns(DNSQuestion)
    /// An ICMP echo comes back.
    case ping
    /// A program of this host, by its path with arguments, blanks between them, exits with 0. It
    /// is told whom by MARTINET_ADDRESS and MARTINET_PORT.
    case command(String)
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
    case .http: "http"
    case .https: "https"
    case .udp: "udp"
    case .dns: "dns"
    case .ping: "ping"
    case .command: "command"
    }
  }

  /// Whether it can be asked without a socket of the kernel's.
  var fitsVIP: Bool {
    switch self {
    case .tcp, .udp, .dns, .ping: true
    case .http, .https, .command: false
    }
  }

  /// Whether it asks a port.
  var hasPort: Bool {
    switch self {
    case .tcp, .http, .https, .udp, .dns: true
    case .ping, .command: false
    }
  }
}

/// A check of one real server: what services ask alike of the same real server is asked once.
public struct CheckInstance: Hashable, Sendable {
  public var kind: HealthCheck.Kind
  public var schedule: CheckSchedule
  public var address: IPAddress
  /// nil where the real server's own address is asked.
  public var vip: IPAddress?
  public var port: Port

  /// - Parameter realServer: of the service `key`.
  public init(
    _ check: HealthCheck, of realServer: RealServerConfiguration, in key: VirtualServiceKey
  ) {
    kind = check.kind
    schedule = check.schedule
    address = realServer.address
    vip = check.target == .vip ? key.address : nil
    let port = check.port ?? (realServer.port == Port(0) ? key.port : realServer.port)
    // Pings of several services are the same.
    self.port = kind == .ping ? Port(0) : port
  }
}

extension CheckInstance: CustomStringConvertible {
  /// `tcp 192.0.2.1:80`, `http 192.0.2.1:80/health`, `ping 192.0.2.1`; of a VIP
  /// `tcp 192.0.2.9:80 at 192.0.2.1`; of a command its name, `command 192.0.2.1 check #1f3a`, and
  /// of what may be a secret the digest only
  public var description: String {
    guard let vip else { return description(asking: address) }
    return "\(description(asking: vip)) at \(address)"
  }

  private func description(asking address: IPAddress) -> String {
    let place = "\(kind.word) \(address.inURL):\(port.rawValue)"
    switch kind.shown {
    case .tcp, .udp: return place
    case .http(let question), .https(let question, _): return place + question.path
    case .dns(let question): return "\(place) \(question.name) \(question.type)"
    case .ping: return "ping \(address)"
    case .command(let command):
      let words = command.split(separator: " ", maxSplits: 1)
      let name = words.first?.split(separator: "/").last ?? ""
      return "command \(address) " + ([name] + words.dropFirst()).joined(separator: " ")
    }
  }
}

/// What is wrong with a check; the cause and the mend.
public enum HealthCheckError: Hashable, Sendable, ExplainedError {
  case noPort
  case notOfVIP(String)
  case vipNeedsReply
  case markHasNoVIP
  case hysteresis

  public var explanation: (cause: String, mend: String?) {
    switch self {
    case .notOfVIP(let kind):
      ("\(kind) cannot be asked of the VIP", "give tcp, udp, dns or ping, or leave `to` out")
    case .vipNeedsReply:
      ("only a reply tells that the real server has the VIP", "add `require-reply: true`")
    case .markHasNoVIP:
      ("a mark may have many VIPs", "leave `to` out")
    case .hysteresis:
      ("a hysteresis of the whole quorum would never lose it", "give less than the quorum")
    case .noPort: ("the service has no port of its own", "give the check a `port`")
    }
  }
}

extension HealthCheck {
  /// Throws what is wrong with it in the service `key`.
  func validate(in key: VirtualServiceKey) throws(HealthCheckError) {
    guard target == .vip else { return }
    guard kind.fitsVIP else { throw .notOfVIP(kind.word) }
    guard key.mark == nil else { throw .markHasNoVIP }
    if case .udp(let question) = kind, !question.needsReply { throw .vipNeedsReply }
  }

  /// Throws what is wrong with it where it asks `port` unless it names one.
  func validate(_ port: Port) throws(HealthCheckError) {
    guard !kind.hasPort || self.port ?? port != Port(0) else { throw .noPort }
  }
}
