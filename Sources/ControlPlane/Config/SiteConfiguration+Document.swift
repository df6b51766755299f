// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Yams

extension SiteConfiguration {
  /// A file of 10 000 services has about 2 MB.
  public static let largestFileBytes = 64 << 20

  /// Reads a configuration file's text, or throws all that is wrong with it.
  ///
  /// Every scalar is text until its field reads it: YAML's own rules of what is a number or a date,
  /// a dozen regular expressions, would take half of the time.
  public init(yaml: String) throws(ConfigurationFindings) {
    let root: Node
    do {
      root = try Yams.compose(yaml: yaml, .basic) ?? Node([(Node, Node)]())
    } catch {
      throw ConfigurationFindings(findings: [ConfigurationFinding(error)])
    }
    self.init(ports: [])
    var form = ConfigurationForm(reading: root, path: "")
    visit(&form)
    form.finish()
    guard form.findings.isEmpty else {
      throw ConfigurationFindings(
        findings: form.findings.sorted { ($0.line, $0.path) < ($1.line, $1.path) })
    }
  }

  /// The same as a file, with everything that was left out.
  public var yaml: String {
    get throws { try Yams.serialize(node: node) }
  }

  /// The same for JSON.
  public var document: ConfigurationDocument { ConfigurationDocument(node) }

  var node: Node {
    var (form, copy) = (ConfigurationForm(), self)
    copy.visit(&form)
    return form.node
  }

  /// Reads or writes every field.
  mutating func visit(_ form: inout ConfigurationForm) {
    visitInterfaces(&form)
    form.field("control", .socketPath, &control)
    form.field("metrics", .endpoint, &metrics)
    form.section("api", &api, new: .blank) { $1.visit(&$0) }
    form.field("announce", .flag, &announce)
    form.field("role", .oneOf, &role)
    form.field("notify", .command, &notify)
    form.check(
      notify == nil || announce, "notify is never called", "it goes with `announce: true`")
    form.section("capacity") { form in
      let range = 8...ForwarderConfiguration.maximumEntries
      form.field("ipv4-connections", .number(range), &capacity.ipv4Connections)
      form.field("ipv6-connections", .number(range), &capacity.ipv6Connections)
      form.field("persistent-clients", .number(range), &capacity.persistentClients)
    }
    form.section("timeouts") { form in
      let range = 1...TimeoutConfiguration.largest
      form.field("tcp", .number(range), &timeouts.tcp)
      form.field("tcp-fin", .number(range), &timeouts.tcpFin)
      form.field("udp", .number(range), &timeouts.udp)
    }
    visitMarks(&form)
    var keys: Set<VirtualServiceKey> = []
    form.list("services", &tables, new: .blank) { form, table in
      table.visit(&form)
      form.check { () throws(DirectorError) in try table.service.validate() }
      form.check(
        keys.insert(table.service.key).inserted,
        "\(table.service.key) is in the file twice", "put all real servers into one")
    }
  }

  /// One as a mapping, several as a list of such mappings.
  private mutating func visitInterfaces(_ form: inout ConfigurationForm) {
    let blank = PortConfiguration(interface: "")
    guard form.has("interfaces", whereWritten: ports.count > 1) else {
      var port = ports.first ?? blank
      form.requiredSection("interface") { visit(&$0, &port) }
      form.exclude("interfaces", by: "interface")
      ports = [port]
      return
    }
    form.exclude("interface", by: "interfaces")
    var (several, names) = (ports, Set<String>())
    form.list("interfaces", &several, new: blank) { form, port in
      visit(&form, &port)
      form.check(
        names.insert(port.interface).inserted, "\(port.interface) is in the file twice", "keep one"
      )
    }
    form.check(!several.isEmpty, "`interfaces` is empty", "give one or more")
    ports = several
  }

  /// Workers never sleep where one of the interfaces has it so.
  private mutating func visit(_ form: inout ConfigurationForm, _ port: inout PortConfiguration) {
    form.required("name", .interface, &port.interface)
    form.field("xdp-mode", .oneOf, &port.xdpMode)
    form.field("copy-mode", .copyMode, &port.copyMode)
    form.field("queues", .queues, &port.queues)
    var spins = busyPoll
    form.field("busy-poll", .flag, &spins)
    busyPoll = busyPoll || spins
  }

  private mutating func visitMarks(_ form: inout ConfigurationForm) {
    let new = MarkTable(mark: FirewallMark(rawValue: 1), match: [])
    var known: [FirewallMark: [VirtualPorts]] = [:]
    form.list("marks", &marks, new: new) { form, table in
      form.required("mark", .mark, &table.mark)
      let mark = table.mark
      form.check(
        known.updateValue([], forKey: mark) == nil,
        "mark \(mark.rawValue) is in the file twice", "put all it matches into one")
      let blank = VirtualPorts(
        address: .v4(IPv4Address(rawValue: 0)), ipProtocol: .tcp, ports: VirtualPorts.allPorts)
      form.list("match", &table.match, new: blank) { form, ports in
        form.required("vip", .address, &ports.address)
        form.required("protocol", .ipProtocol, &ports.ipProtocol)
        form.required("ports", .ports, &ports.ports)
        let ports = ports
        form.check { () throws(DirectorError) in
          try ports.validate(for: mark)
          for (other, taken) in known {
            if let taken = taken.first(where: ports.overlaps) {
              throw .portsOverlap(ports, taken, other)
            }
          }
        }
        known[mark]?.append(ports)
      }
    }
  }
}

extension SiteConfiguration.ServiceTable {
  /// What is not required has its default.
  fileprivate static var blank: Self {
    Self(
      service: ServiceConfiguration(
        key: VirtualServiceKey(
          address: .v4(IPv4Address(rawValue: 0)), ipProtocol: .tcp, port: Port(0)),
        scheduler: .wlc),
      realServers: [])
  }

  mutating func visit(_ form: inout ConfigurationForm) {
    let protocolBefore = service.key.ipProtocol
    var mark = service.key.mark
    form.field("mark", .mark, &mark)
    if let mark {
      var isIPv6 = service.key.address.isSameVersion(as: .v6(IPv6Address(high: 0, low: 0)))
      form.field("ip-version", .isIPv6, &isIPv6)
      service.key = VirtualServiceKey(mark: mark, isIPv6: isIPv6)
    } else {
      form.required("vip", .address, &service.key.address)
      form.required("protocol", .ipProtocol, &service.key.ipProtocol)
      form.required("port", .port, &service.key.port)
    }
    if service.key.ipProtocol != protocolBefore {
      service.policy = ServicePolicy(for: service.key.ipProtocol)
    }
    form.field("scheduler", .oneOf, &service.scheduler)
    form.section("scheduler-flags") { form in
      form.field("fallback", .flag, &service.flags[.fallback])
      form.field("port", .flag, &service.flags[.port])
    }
    form.section("persistence", &service.persistence, new: .lvs) { form, persistence in
      let range = 1...Persistence.largestTimeoutSeconds
      form.field("timeout", .number(range), &persistence.timeoutSeconds)
      form.field("mask", .address, &persistence.mask)
    }
    form.field("one-packet", .flag, &service.isOnePacket)
    form.field("removal", .oneOf, &service.policy.removal)
    form.field("stray", .oneOf, &service.policy.stray)
    form.field("ttl", .oneOf, &service.policy.timeToLive)
    form.field("quiescent-clients", .oneOf, &service.policy.quiescentClients)
    health.visit(&form, of: service.key)
    let (key, serviceIsSound) = (service.key, form.isSound)
    var addresses = Set([health.sorryServer].compactMap { $0 })
    let new = RealServerConfiguration(address: key.address, port: key.port)
    var (ownChecks, checks) = (health.ownChecks, health.checks)
    form.list("real-servers", &realServers, new: new) { form, realServer in
      var own = ownChecks[realServer.address]
      realServer.visit(&form, of: key, &own)
      ownChecks[realServer.address] = own
      let port = realServer.port
      form.check { () throws(HealthCheckError) in
        for check in checks { try check.validate(port) }
      }
      guard serviceIsSound else { return }
      form.check { () throws(DirectorError) in try realServer.validate(for: key) }
      form.check(
        addresses.insert(realServer.address).inserted,
        "\(realServer.address) is in this service twice", "keep one")
    }
    health.ownChecks = ownChecks
  }
}

extension RealServerConfiguration {
  /// - Parameter checks: what it alone is asked.
  mutating func visit(
    _ form: inout ConfigurationForm, of key: VirtualServiceKey, _ checks: inout [HealthCheck]?
  ) {
    form.required("address", .address, &address)
    if key.mark != nil { form.field("port", .port, &port) }
    form.field("weight", .number(0...Self.largestWeight), &weight)
    form.field("upper-threshold", .number(0...UInt32.max), &upperThreshold)
    form.field("lower-threshold", .number(0...UInt32.max), &lowerThreshold)
    checks.visit(&form, of: key, askingPort: port)
  }
}

extension Persistence {
  /// `-p` without more.
  fileprivate static let lvs = Persistence(timeoutSeconds: defaultTimeoutSeconds)
}

extension SchedulerFlags {
  fileprivate subscript(_ flag: SchedulerFlags) -> Bool {
    get { contains(flag) }
    set { if newValue { insert(flag) } else { remove(flag) } }
  }
}

extension ConfigurationFinding {
  /// What is wrong with the YAML itself.
  fileprivate init(_ error: any Error) {
    switch error as? YamlError {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      self.init(
        line: mark.line, column: mark.column, path: "", cause: "this is no YAML: \(problem)",
        mend: "look at this line and the one before it, or quote the text")
    case .reader(let problem, let offset, _, let yaml):
      // Without the line's contents, in which a password may stand.
      self.init(
        line: yaml.prefix(offset ?? 0).count(where: \.isNewline) + 1, path: "",
        cause: "this is no YAML: \(problem)", mend: "remove what is no text from this line")
    case .duplicatedKeysInMapping(let duplicates, let context):
      self.init(
        line: context.mark.line, path: "",
        cause: "this mapping has `\(duplicates.joined(separator: "`, `"))` twice",
        mend: "keep one")
    default:
      self.init(
        line: 1, path: "", cause: "this is no YAML in UTF-8: \(error)",
        mend: "give a configuration file")
    }
  }
}
