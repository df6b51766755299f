// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// The virtual servers of a keepalived.conf(5) as service tables, and all that could not be
/// carried.
public struct KeepalivedImport: Sendable {
  public private(set) var tables: [SiteConfiguration.ServiceTable] = []
  /// By line.
  public private(set) var findings: [ConfigurationFinding] = []

  private var groups: [String: KeepalivedStatement] = [:]
  private var keys: Set<VirtualServiceKey> = []

  /// `persistence_timeout` without a number (keepalived.conf(5)).
  private static let defaultPersistenceSeconds: UInt32 = 360
  private static let protocols: [String: IPProtocol] = ["TCP": .tcp, "UDP": .udp, "SCTP": .sctp]

  public init(_ text: String) {
    let (statements, findings) = KeepalivedReader.read(text)
    self.findings = findings
    for statement in statements where statement.keyword == "virtual_server_group" {
      if let name = statement.arguments.first { groups[name] = statement }
    }
    for statement in statements { take(statement) }
    self.findings.sort { $0.line < $1.line }
  }

  private mutating func take(_ statement: KeepalivedStatement) {
    switch statement.keyword {
    case "virtual_server": takeVirtualServer(statement)
    case "virtual_server_group": break
    case "include", "includea", "includem", "includew", "includeb", "includer":
      note(statement, "is not followed: import that file by itself")
    case let word where word.hasPrefix("$") || word.hasPrefix("@") || word.hasPrefix("~"):
      note(statement, "is not evaluated: write out what it stands for")
    default: note(statement, "is not a director's: leave it to keepalived")
    }
  }

  private mutating func takeVirtualServer(_ statement: KeepalivedStatement) {
    var draft = Draft()
    for option in statement.block { take(option, into: &draft) }
    guard !draft.isRefused else {
      return note(statement, "is left out: it would not do the same")
    }
    for place in places(of: statement) { add(statement, draft, draft.key(of: place)) }
  }

  /// Addresses with ports, and marks, that a virtual server stands for.
  private mutating func places(of statement: KeepalivedStatement) -> [KeepalivedPlace] {
    let words = Array(statement.arguments)
    guard words.first == "group" else {
      if let place = KeepalivedPlace(words) { return [place] }
      note(statement, "is no address with a port, and no fwmark with a number: give either")
      return []
    }
    guard words.count > 1, let group = groups[words[1]] else {
      note(statement, "names no group of this file: add the group")
      return []
    }
    return group.block.flatMap { member in
      if let place = KeepalivedPlace(member.words) { return [place] }
      if let places = KeepalivedPlace.range(member.words) { return places }
      note(member, "is not carried: give its addresses and ports to a service each")
      return []
    }
  }

  private mutating func take(_ option: KeepalivedStatement, into draft: inout Draft) {
    let word = option.arguments.first ?? ""
    switch option.keyword {
    case "real_server": draft.realServers.append(option)
    case "lb_algo", "lvs_sched":
      if let scheduler = Scheduler(rawValue: word) {
        draft.scheduler = scheduler
      } else {
        note(option, "is no scheduler of this director: wlc takes its place")
      }
    case "lb_kind", "lvs_method":
      switch word {
      case "DR": draft.method = .directRouting
      case "NAT": draft.method = .translated
      default: draft.method = .other(option)
      }
    case "protocol":
      if let ipProtocol = Self.protocols[word.uppercased()] {
        draft.ipProtocol = ipProtocol
      } else {
        note(option, "is not available: TCP, UDP and SCTP are")
        draft.isRefused = true
      }
    case "ip_family": draft.isIPv6 = word == "inet6"
    case "persistence_timeout":
      let seconds = option.arguments.isEmpty ? Self.defaultPersistenceSeconds : UInt32(word)
      guard let seconds, seconds > 0 else { return note(option, "is no number of seconds") }
      draft.persistenceSeconds = seconds
    case "persistence_granularity":
      guard let mask = IPAddress(word) ?? UInt8(word).flatMap({ Self.mask($0) }) else {
        return note(option, "is no mask: give one such as 255.255.255.0")
      }
      draft.mask = mask
    case "ops": draft.isOnePacket = true
    case "sh-port", "mh-port": draft.flags.insert(.port)
    case "sh-fallback", "mh-fallback": draft.flags.insert(.fallback)
    default: takeHealth(option, into: &draft)
    }
  }

  private static func mask(_ prefixLength: UInt8) -> IPAddress? {
    (1...128).contains(prefixLength) ? .v6(IPv6Address(prefixLength: Int(prefixLength))) : nil
  }

  private mutating func add(
    _ statement: KeepalivedStatement, _ draft: Draft, _ key: VirtualServiceKey
  ) {
    let service = ServiceConfiguration(
      key: key, scheduler: draft.scheduler, flags: draft.flags,
      persistence: draft.persistenceSeconds.map {
        Persistence(timeoutSeconds: $0, mask: draft.mask)
      }, isOnePacket: draft.isOnePacket)
    do {
      try service.validate()
    } catch {
      return note(statement, "is left out: \(error)")
    }
    guard keys.insert(key).inserted else {
      return note(statement, "is left out: the file has \(key) twice")
    }
    switch draft.method {
    case .directRouting: break
    case .translated:
      let vip = key.mark == nil ? "\(key.address)" : "VIP"
      note(
        statement,
        "becomes direct routing: run `martinet realserver up \(vip)` on its real servers, and "
          + "let them answer past the director")
    case .other(let option):
      return note(option, "is not available: the service is left out")
    }
    var table = SiteConfiguration.ServiceTable(service: service, realServers: [])
    var (checks, inhibits) = ([IPAddress: [HealthCheck]](), false)
    for realServer in draft.realServers {
      var own = draft
      if let configuration = self.realServer(realServer, of: key, &own) {
        table.realServers.append(configuration)
        checks[configuration.address] = own.checks
        inhibits = inhibits || own.health.onFailure == .inhibit
      }
    }
    table.health = health(draft, checks, of: key)
    if inhibits, !table.health.isEmpty { table.health.onFailure = .inhibit }
    guard !table.realServers.isEmpty || draft.realServers.isEmpty else {
      return note(statement, "is left out: none of its real servers can be reached directly")
    }
    tables.append(table)
    if let mark = key.mark {
      note(
        statement, "has mark \(mark.rawValue), which no netfilter rule gives here: say under "
          + "`marks:` which VIPs and ports it stands for")
    }
  }

  private mutating func realServer(
    _ statement: KeepalivedStatement, of key: VirtualServiceKey, _ draft: inout Draft
  ) -> RealServerConfiguration? {
    let words = Array(statement.arguments)
    guard let address = words.first.flatMap({ IPAddress($0) }) else {
      note(statement, "is no address: give one")
      return nil
    }
    let port = words.count > 1 ? UInt16(words[1]).map { Port($0) } : key.port
    var configuration = RealServerConfiguration(address: address, port: port ?? Port(0))
    for option in statement.block {
      let number = option.arguments.first.flatMap { UInt32($0) }
      switch (option.keyword, number) {
      case ("weight", let number?): configuration.weight = number
      case ("uthreshold", let number?): configuration.upperThreshold = number
      case ("lthreshold", let number?): configuration.lowerThreshold = number
      default: takeHealth(option, into: &draft)
      }
    }
    for option in statement.block { takeCheck(option, into: &draft) }
    do {
      try configuration.validate(for: key)
    } catch {
      note(statement, "is left out: \(error)")
      return nil
    }
    return configuration
  }

  mutating func note(_ statement: KeepalivedStatement, _ sentence: String) {
    let finding = ConfigurationFinding(
      line: statement.line, path: statement.shown, cause: sentence)
    // A group's real servers are looked at once for each of its addresses.
    if !findings.contains(finding) { findings.append(finding) }
  }

  /// A virtual server while its options are read.
  struct Draft {
    enum Method {
      case directRouting
      /// NAT, which is also keepalived's default.
      case translated
      case other(KeepalivedStatement)
    }

    var scheduler = Scheduler.wlc
    var flags: SchedulerFlags = []
    var ipProtocol = IPProtocol.tcp
    var method = Method.translated
    var persistenceSeconds: UInt32?
    var mask: IPAddress?
    var isOnePacket = false
    /// `ip_family`, which keepalived looks at where no real server says it.
    var isIPv6: Bool?
    var realServers: [KeepalivedStatement] = []
    var isRefused = false
    var timers = KeepalivedTimers()
    /// Of checks by HTTP, where they do not say.
    var host: String?
    var sorryServer: KeepalivedStatement?
    /// keepalived takes out what fails unless it is told to inhibit.
    var health: ServiceHealth = {
      var health = ServiceHealth()
      health.onFailure = .remove
      return health
    }()
    /// Of one real server.
    var checks: [HealthCheck] = []

    func key(of place: KeepalivedPlace) -> VirtualServiceKey {
      switch place {
      case .address(let address, let port):
        return VirtualServiceKey(address: address, ipProtocol: ipProtocol, port: port)
      case .mark(let mark, let isMarkIPv6):
        switch realServers.first?.arguments.first.flatMap({ IPAddress($0) }) {
        case .v4?: return VirtualServiceKey(mark: mark, isIPv6: false)
        case .v6?: return VirtualServiceKey(mark: mark, isIPv6: true)
        case nil: return VirtualServiceKey(mark: mark, isIPv6: isMarkIPv6 ?? isIPv6 ?? false)
        }
      }
    }
  }
}
