// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import ControlPlane

@Suite struct SiteConfigurationTests {
  private static let head = "interface: {name: lan0}\n"

  private func findings(_ yaml: String) -> [String] {
    do {
      _ = try SiteConfiguration(yaml: yaml)
      return []
    } catch {
      #expect(error.findings.allSatisfy { $0.mend != nil }, "\(error)")
      return error.findings.map(\.description)
    }
  }

  @Test func whatIsLeftOutHasItsDefault() throws {
    let site = try SiteConfiguration(
      yaml: Self.head + """
        services:
        - vip: 192.168.1.149
          protocol: udp
          port: 53
          persistence: {}
          real-servers: [{address: 192.168.1.151}]
        """)
    #expect(site.ports == [PortConfiguration(interface: "lan0")])
    #expect(site.timeouts == TimeoutConfiguration(tcp: 900, tcpFin: 120, udp: 300))
    let table = try #require(site.tables.first)
    let key = VirtualServiceKey(
      address: IPAddress("192.168.1.149")!, ipProtocol: .udp, port: Port(53))
    #expect(
      table.service
        == ServiceConfiguration(
          key: key, scheduler: .wlc, persistence: Persistence(timeoutSeconds: 360)))
    #expect(
      table.realServers
        == [RealServerConfiguration(address: IPAddress("192.168.1.151")!, port: Port(53))])
  }

  /// Line, path and mend of each, all in one run.
  @Test func everyErrorIsNamed() {
    let yaml = """
      interface:
        nam: lan0
        queues: 0
      timeout: {tcp: 1}
      services:
      - vip: 192.168.1.149
        protocol: tcp
        port: 80
        one-packet: true
        real-servers:
        - address: 192.168.1.151
          weigth: 3
        - address: fd00::1
        - address: 192.168.1.151
      - vip: 192.168.1.149
        protocol: dccp
        port: 65536
      - vip: 192.168.1.149
        protocol: tcp
        port: 80
      - just text
      """
    let expected = [
      ("line 2: interface: `name` is missing", "give the name"),
      ("line 2: interface.nam: ", "the nearest is `name`"),
      ("line 3: interface.queues: \"0\" is wrong", "give all, or a number"),
      ("line 4: timeout: ", "the nearest is `timeouts`"),
      ("line 6: services[0]: one-packet", "leave it out"),
      ("line 12: services[0].real-servers[0].weigth: ", "the nearest is `weight`"),
      ("line 13: services[0].real-servers[1]: ", "of the service's version"),
      ("line 14: services[0].real-servers[2]: ", "keep one"),
      ("line 16: services[1].protocol: \"dccp\"", "udp or sctp"),
      ("line 17: services[1].port: \"65536\"", "from 0, for all ports, to 65535"),
      ("line 18: services[2]: ", "all real servers into one"),
      ("line 21: services[3]: is no mapping", "lines"),
    ]
    let found = findings(yaml)
    #expect(found.count == expected.count, "\(found)")
    for (finding, (start, mend)) in zip(found, expected) {
      #expect(finding.hasPrefix(start) && finding.contains(mend), "\(finding)")
    }
  }

  @Test func severalInterfacesAreAList() throws {
    let site = try SiteConfiguration(
      yaml: """
        interfaces:
        - {name: lan0, copy-mode: copy, busy-poll: true}
        - {name: lan1, xdp-mode: generic, queues: 2}
        """)
    #expect(
      site.ports == [
        PortConfiguration(interface: "lan0", copyMode: .copy),
        PortConfiguration(interface: "lan1", xdpMode: .generic, queues: .count(2)),
      ])
    #expect(site.busyPoll, "a worker has them all")
    #expect(try site.yaml.hasPrefix("interfaces:\n- name: lan0\n"))
    #expect(try SiteConfiguration(yaml: site.yaml) == site)
    let one = try SiteConfiguration(yaml: "interfaces: [{name: lan0}]")
    #expect(try one.yaml.hasPrefix("interface:\n  name: lan0\n"))
  }

  @Test(arguments: [
    ("interface: {name: a}\ninterfaces: [{name: b}]", "line 1: interface: ", "keep one of them"),
    ("interfaces: []", "line 1: ", "give one or more"),
    ("interfaces: {name: a}", "line 1: interfaces: is no list", "`- ` lines"),
    (
      "interfaces:\n- {name: a}\n- {name: b}\n- {name: a}", "line 4: interfaces[2]: a is",
      "keep one"
    ),
    ("interfaces:\n- {name: a}\n- {nam: b}", "line 3: interfaces[1]: `name`", "give the name"),
    ("interfaces:\n- {name: a, queue: 1}", "line 2: interfaces[0].queue: ", "is `queues`"),
    ("services: []", "line 1: ", "`interface` is missing"),
  ]) func interfacesThatAreWrong(yaml: String, start: String, mend: String) {
    let found = findings(yaml)
    #expect(
      found.contains { $0.hasPrefix(start) && $0.contains(mend) }, "\(found)")
  }

  /// Each by its word; what is left out follows from the protocol, wherever that stands.
  @Test func policies() throws {
    let site = try SiteConfiguration(
      yaml: Self.head + """
        services:
        - {vip: 192.168.1.149, port: 80, protocol: tcp}
        - {removal: keep, vip: 192.168.1.149, port: 53, protocol: udp, ttl: decrement}
        - {vip: 192.168.1.149, port: 54, protocol: udp, stray: drop, quiescent-clients: move}
        """)
    var policies = [ServicePolicy(for: .tcp), ServicePolicy(for: .udp), ServicePolicy(for: .udp)]
    (policies[1].removal, policies[1].timeToLive) = (.keep, .decrement)
    (policies[2].stray, policies[2].quiescentClients) = (.drop, .move)
    #expect(site.tables.map(\.service.policy) == policies)
    #expect(policies[2].removal == .rehash)
    let wrong = findings(
      Self.head + "services: [{vip: 192.168.1.149, protocol: tcp, port: 80, ttl: two}]")
    #expect(wrong.count == 1)
    #expect(wrong[0].contains("ttl: \"two\" is wrong: give preserve or decrement or one"))
  }

  /// What is asked of each real server, and of one of them besides.
  @Test func checks() throws {
    let site = try SiteConfiguration(
      yaml: Self.head + """
        services:
        - vip: 192.168.1.149
          protocol: tcp
          port: 80
          health:
            checks:
            - {kind: tcp, interval: 0.25, timeout: 1.5, rise: 1, fall: 5, jitter: 0, initial: down}
            on-failure: remove
          real-servers:
          - {address: 192.168.1.151}
          - {address: 192.168.1.152, checks: [{kind: tcp, port: 81}]}
        """)
    var check = HealthCheck(.tcp)
    check.schedule.intervalMilliseconds = 250
    check.schedule.timeoutMilliseconds = 1500
    (check.schedule.rise, check.schedule.fall, check.schedule.jitterPercent) = (1, 5, 0)
    check.schedule.initial = .down
    let health = try #require(site.tables.first?.health)
    #expect(health.checks == [check] && health.onFailure == .remove)
    #expect(health.ownChecks == [IPAddress("192.168.1.152")!: [HealthCheck(.tcp, port: Port(81))]])
    #expect(try SiteConfiguration(yaml: site.yaml) == site)
    #expect(try site.yaml.contains("interval: 0.25\n"))
  }

  /// What is written of each kind reads as the same.
  @Test func kindsOfChecks() throws {
    var (http, tls) = (HTTPQuestion(), TLSQuestion())
    (http.path, http.host, http.statuses) = ("/a?b=c", "example.org", [200...299, 404...404])
    http.body = "a: \"b\" #c\n"
    (tls.serverName, tls.isVerified, tls.authorities) = ("example.net", true, "/etc/ca file")
    var (udp, dns) = (DatagramQuestion(), DNSQuestion())
    (udp.payload, udp.needsReply, udp.reply) = ([0, 255], true, Array("hex:".utf8))
    (dns.name, dns.type) = ("example.org", .AAAA)
    var site = try SiteConfiguration(
      yaml: Self.head + "services: [{vip: 192.168.1.149, protocol: udp, port: 53}]")
    site.tables[0].health.checks = [
      .tcp, .http(http), .https(http, tls), .udp(udp), .dns(dns), .ping, .command("/bin/a b  c"),
    ].map { HealthCheck($0) }
    site.tables[0].health.checks[0].port = Port(9)
    site.tables[0].health.checks[3].target = .vip
    let yaml = try site.yaml
    #expect(try SiteConfiguration(yaml: yaml) == site, "\(yaml)")
  }

  @Test(arguments: [
    ("{kind: tcpp}", "services[0].health.checks[0].kind: \"tcpp\" is wrong: give tcp"),
    ("{kind: http, path: x}", "a path that begins with /"),
    ("{kind: http, path: \"/a\\r\\nX: y\"}", "a path that begins with / and has no blanks"),
    ("{kind: http, host: \"a b\"}", "checks[0].host"),
    ("{kind: http, status: 200-}", "200-299,404"),
    ("{kind: http, status: 299-200}", "status codes"), ("{kind: http, sni: a}", "is no known key"),
    ("{kind: https, verify: yes please}", "true or false"),
    ("{kind: https, ca-file: a}", "absolute"),
    ("{kind: udp, payload: \"hex:abc\"}", "hex: and pairs of digits"),
    ("{kind: udp, reply: \"hex:+1\"}", "hex: and pairs of digits"),
    ("{kind: dns, name: a..b}", "a domain name"), ("{kind: dns, type: ANY}", "A or NS or CNAME"),
    ("{kind: command}", "`command` is missing"), ("{kind: command, command: ls}", "absolute path"),
    ("{kind: ping, port: 80}", "is no known key"),
    ("{kind: http, to: vip}", "http cannot be asked of the VIP"),
    ("{kind: udp, to: vip}", "add `require-reply: true`"),
    ("{kind: tcp, to: me}", "real-server or vip"),
    ("{}", "services[0].health.checks[0]: `kind` is missing"),
    (
      "{kind: tcp, interval: 0.05}",
      "checks[0].interval: \"0.05\" is wrong: give a number of seconds"
    ),
    ("{kind: tcp, interval: 1e3}", "a number of seconds from 0.1 to 86400"),
    ("{kind: tcp, timeout: nan}", "checks[0].timeout"), ("{kind: tcp, rise: 0}", "from 1 to 255"),
    ("{kind: tcp, jitter: 51}", "from 0 to 50"), ("{kind: tcp, port: 0}", "from 1 to 65535"),
    ("{kind: tcp, initial: maybe}", "up or down"), ("{kind: tcp, path: /}", "is no known key"),
  ])
  func wrongChecksAreNamed(check: String, part: String) {
    let found = findings(
      Self.head + """
        services:
        - vip: 192.168.1.149
          protocol: tcp
          port: 80
          health: {checks: [\(check)]}
        """)
    #expect(found.count == 1 && found[0].hasPrefix("line 6: "), "\(found)")
    #expect(found.first?.contains(part) == true, "\(found)")
  }

  @Test func whatFollowsFromChecks() throws {
    func health(_ text: String) -> String {
      Self.head + """
        services:
        - {vip: 192.168.1.149, protocol: tcp, port: 80, health: {\(text)},
           real-servers: [{address: 192.168.1.151}]}
        """
    }
    let site = try SiteConfiguration(
      yaml: health("quorum: 3, hysteresis: 2, sorry-server: 192.168.1.159, slow-start: 60"))
    let table = try #require(site.tables.first)
    #expect(table.health.quorum == 3 && table.health.hysteresis == 2)
    #expect(table.health.sorryServer == IPAddress("192.168.1.159"))
    #expect(table.health.slowStartSeconds == 60)
    #expect(try SiteConfiguration(yaml: site.yaml) == site)
    for (text, part) in [
      ("quorum: 2, hysteresis: 2", "give less than the quorum"),
      ("sorry-server: 192.168.1.151", "twice: keep one"),
      ("sorry-server: \"fd00::1\"", "of the service's version"),
      ("sorry-server: 224.0.0.1", "not a unicast"), ("slow-start: 86401", "from 0 to 86400"),
    ] {
      let found = findings(health(text))
      #expect(found.count == 1 && found[0].contains(part), "\(found)")
    }
  }

  /// A mark has no port: the check must say one, or the real server.
  @Test func checksNeedAPort() {
    func wrong(_ check: String, _ realServer: String) -> [String] {
      findings(
        Self.head + """
          services:
          - mark: 1
            health: {checks: [{kind: tcp\(check)}]}
            real-servers: [{address: 192.168.1.151\(realServer)}]
          """)
    }
    #expect(wrong(", port: 80", "").isEmpty && wrong("", ", port: 80").isEmpty)
    #expect(wrong(", port: 80, to: vip", "").first?.contains("leave `to` out") == true)
    #expect(wrong("", "").first?.contains("give the check a `port`") == true)
  }

  @Test(
    arguments: [
      ("", "`interface` is missing"), ("[", "no YAML"), ("{a: 1, a: 2}", "twice"),
      ("a: *b", "no YAML"), (String(repeating: "[", count: 100_000), "no YAML"),
      ("- 1", "no mapping"), ("a: 1\n---\nb: 2", "no YAML"), ("interface:", "no mapping"),
      ("interface: {name: \"a\\0b\"}", "interface.name"), ("? [a]\n: 3", "no known key"),
      ("interface: {name: lan0}\nservices: 3", "is no list"),
      ("interface: {name: lan0}\ncontrol: relative", "control"),
    ])
  func garbageIsOneSentenceOrMore(yaml: String, word: String) {
    #expect(findings(yaml).contains { $0.contains(word) }, "\(findings(yaml))")
  }

  /// YAML's own words for it would have the whole line, and the password in it.
  @Test func aControlCharacterIsNamedByItsLine() {
    let found = findings(Self.head + "\nnotify: /bin/mail --password Marked0\u{1}\n")
    #expect(found.count == 1 && found[0].hasPrefix("line 3: this is no YAML: control char"))
    #expect(!found[0].contains("Marked0"), "\(found)")
  }

  /// Aliases of aliases, ten at a time: 10^9 nodes if they were unfolded.
  @Test func aliasesAreNotUnfolded() {
    var yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1...9 {
      let aliases = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
      yaml += "a\(level): &a\(level) [\(aliases)]\n"
    }
    #expect(findings(yaml).count == 11)
  }

  @Test func whatIsShownReadsAsTheSame() throws {
    for seed in UInt64(1)...50 {
      var random = Seed(seed)
      let site = SiteConfiguration.random(&random)
      let yaml = try site.yaml
      #expect(try SiteConfiguration(yaml: yaml) == site, "seed \(seed)\n\(yaml)")
    }
  }
}

extension SiteConfiguration {
  static func random(_ random: inout Seed) -> SiteConfiguration {
    let names = ["lan0", "0x10", "true", "~", "a:b"].shuffled(using: &random)
    var site = SiteConfiguration(
      ports: names.prefix([1, 1, 2, 5].randomElement(using: &random)!).map { name in
        PortConfiguration(
          interface: name, xdpMode: XDPMode.allCases.randomElement(using: &random)!,
          copyMode: [.automatic, .copy, .zeroCopy].randomElement(using: &random)!,
          queues: [.all, .count(3)].randomElement(using: &random)!)
      })
    site.busyPoll = .random(using: &random)
    site.control = [nil, "/run/a b #c"].randomElement(using: &random)!
    site.capacity.ipv4Connections = .random(in: 8...(1 << 30), using: &random)
    site.timeouts.udp = .random(in: 1...TimeoutConfiguration.largest, using: &random)
    site.tables = (0..<Int.random(in: 0...5, using: &random)).map { number in
      let (isUDP, isPersistent) = (Bool.random(using: &random), Bool.random(using: &random))
      let one = VirtualServiceKey(
        address: IPAddress("2001:db8::\(number + 1)")!, ipProtocol: isUDP ? .udp : .tcp,
        port: Port(.random(in: 1...UInt16.max, using: &random)))
      // Port 0 needs persistence.
      let key = isPersistent && .random(using: &random) ? one.onAllPorts : one
      var policy = ServicePolicy(for: key.ipProtocol)
      policy.removal = ServicePolicy.Removal.allCases.randomElement(using: &random)!
      policy.stray = ServicePolicy.Stray.allCases.randomElement(using: &random)!
      policy.timeToLive = ServicePolicy.TimeToLive.allCases.randomElement(using: &random)!
      policy.quiescentClients = Bool.random(using: &random) ? .keep : .move
      let mask = [nil, IPv6Address(prefixLength: 64)].randomElement(using: &random)!
      return ServiceTable(
        service: ServiceConfiguration(
          key: key, scheduler: Scheduler.allCases.randomElement(using: &random)!,
          flags: SchedulerFlags(rawValue: .random(in: 0...3, using: &random)),
          persistence: isPersistent
            ? Persistence(timeoutSeconds: 9, mask: mask.map(IPAddress.v6)) : nil,
          isOnePacket: isUDP && .random(using: &random), policy: policy),
        realServers: (0..<Int.random(in: 0...3, using: &random)).map { index in
          RealServerConfiguration(
            address: IPAddress("2001:db8:1::\(index + 1)")!, port: key.port,
            weight: .random(in: 0...RealServerConfiguration.largestWeight, using: &random),
            upperThreshold: .random(in: 50...UInt32.max, using: &random),
            lowerThreshold: .random(in: 0...50, using: &random))
        })
    }
    return site
  }
}
