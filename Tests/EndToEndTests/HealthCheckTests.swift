// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import Foundation
import TestSupport
import Testing

/// Checks of real servers that are really there, and are killed and brought back.
extension EndToEnd {
  @Suite(.serialized) struct HealthCheckTests {
    /// A director whose configuration file has `health`, one line of YAML, for the web service.
    private static func director(
      on served: ServedLan, health: String, own: String = "",
      others: String = ", {address: 192.168.1.152}", more: String = "",
      _ arguments: [String] = []
    ) throws -> RunningDirector {
      let path = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString).yaml"
      defer { try? FileManager.default.removeItem(atPath: path) }
      try """
      interface: {name: lan0, copy-mode: copy}
      services:
      - vip: \(Lan.vip)
        protocol: tcp
        port: 80
        scheduler: rr
        health: \(health)
        real-servers: [{address: 192.168.1.151\(own)}\(others)]
      \(more)
      """.write(toFile: path, atomically: true, encoding: .utf8)
      return try RunningDirector(on: served.lan.director, ["--config", path] + arguments)
    }

    private static let fast = "interval: 0.2, timeout: 1, rise: 2, fall: 2"

    /// Whether clients come to see these and no others.
    private static func answers(_ served: ServedLan, _ names: Set<String>) throws -> Bool {
      try waitUntil(seconds: 20) {
        let replies = try served.ask(6)
        return Set(replies.map(String.init(describing:)))
          == Set(names.map { String(describing: Reply.body($0)) })
      }
    }

    @Test func whoDiesIsInhibitedAndComesBack() throws {
      let served = try ServedLan()
      let director = try Self.director(
        on: served, health: "{checks: [{kind: tcp, \(Self.fast)}]}",
        ["--metrics", "127.0.0.1:9749"])
      #expect(try Self.answers(served, ["rs1", "rs2"]))
      served.stopNginx(on: served.lan.realServers[0])
      #expect(try Self.answers(served, ["rs2"]))
      let listing = try director.ipvsadm("-Ln")
      #expect(listing.contains("-> 192.168.1.151:80             Route   0 "), "\(listing)")
      #expect(try director.ipvsadm("-Sn").contains("-r 192.168.1.151:80 -g -w 1"))
      let checks = try director.martinet("checks")
      #expect(
        checks.contains(/tcp 192.168.1.151:80 +down .* connect: connection refused\n/), "\(checks)")
      #expect(checks.contains(/tcp 192.168.1.152:80 +up\b/), "\(checks)")
      #expect(try director.martinet("checks --json").contains("\"isUp\" : false"))
      let metrics = try served.lan.director.finish(
        ["curl", "-s", "-m", "5", "http://127.0.0.1:9749/metrics"]
      ).output
      #expect(metrics.contains(/martinet_check_up{check="tcp 192.168.1.151:80",.*} 0\n/))
      #expect(metrics.contains(/martinet_real_server_up{.*real_server="192.168.1.151"} 0\n/))
      #expect(metrics.contains(/martinet_real_server_weight{.*real_server="192.168.1.151"} 0\n/))
      try served.startNginx(on: served.lan.realServers[0])
      #expect(try Self.answers(served, ["rs1", "rs2"]))
    }

    @Test func whoDiesIsRemovedWhereAskedFor() throws {
      let served = try ServedLan()
      let director = try Self.director(
        on: served, health: "{checks: [{kind: tcp, \(Self.fast)}], on-failure: remove}")
      #expect(try Self.answers(served, ["rs1", "rs2"]))
      served.stopNginx(on: served.lan.realServers[1])
      #expect(try Self.answers(served, ["rs1"]))
      #expect(try !director.ipvsadm("-Ln").contains("192.168.1.152"))
      #expect(try numbers("weight", in: director.get("services")) == [1, 1])
      try served.startNginx(on: served.lan.realServers[1])
      #expect(try Self.answers(served, ["rs1", "rs2"]))
    }

    @Test func theSorryServerStandsInAndGoesAgain() throws {
      let served = try ServedLan()
      let director = try Self.director(
        on: served,
        health: """
          {checks: [{kind: tcp, \(Self.fast)}], sorry-server: 192.168.1.152, on-failure: remove,
            slow-start: 2}
          """, others: "")
      #expect(try Self.answers(served, ["rs1"]))
      #expect(try !director.ipvsadm("-Ln").contains("192.168.1.152"))
      served.stopNginx(on: served.lan.realServers[0])
      #expect(try Self.answers(served, ["rs2"]))
      let listing = try director.ipvsadm("-Ln")
      #expect(listing.contains("-> 192.168.1.152:80 ") && !listing.contains("192.168.1.151"))
      let rules = try director.ipvsadm("-Sn")
      #expect(
        rules.contains("-r 192.168.1.151:80 ") && !rules.contains("192.168.1.152"), "\(rules)")
      #expect(try director.get("services").contains("\"hasQuorum\":false"))
      try served.startNginx(on: served.lan.realServers[0])
      #expect(try Self.answers(served, ["rs1"]))
    }

    /// Real counterparts of each kind: what they answer well is up, and down where it is asked for
    /// something else.
    @Test(.requires(.commands("openssl", "dnsmasq"))) func everyKindAsksItsOwn() throws {
      let served = try ServedLan()
      let host = served.lan.realServers[0]
      let folder = try CheckedPrograms(on: host)
      let ca = "ca-file: \(folder.path)/certificate"
      let kinds: [(yaml: String, name: String, cause: String?)] = [
        ("http", "http 192.168.1.151:80/", nil),
        ("http, path: /x, body: rs2", "80/x", "the body is without the text"),
        ("http, path: /y, body: rs1, status: \"200,404\"", "80/y", nil),
        ("http, path: /z, status: 201", "80/z", "status 200"),
        ("https, port: 8443, path: /a, host: rs1.test, verify: true, \(ca), body: well", "/a", nil),
        ("https, port: 8443, path: /b", "8443/b", "status 404"),
        ("https, port: 8443, path: /c, host: rs1.test, body: well", "8443/c", nil),
        (
          "https, port: 8443, path: /d, sni: rs2.test, verify: true, \(ca)", "8443/d",
          "tls: hostname mismatch"
        ),
        (
          "https, port: 8443, path: /e, sni: rs1.test, verify: true", "8443/e",
          "tls: self-signed certificate"
        ),
        ("udp, port: 7777, payload: hello, reply: hello", "udp 192.168.1.151:7777", nil),
        ("udp, port: 7778", "udp 192.168.1.151:7778", "receive: connection refused"),
        ("dns, port: 5353, name: www.test, type: A", "www.test A", nil),
        ("dns, port: 5353, name: none.test, type: A", "none.test A", "dns: no such name"),
        ("ping", "ping 192.168.1.151", nil),
        ("command, command: /usr/bin/test 1 = 1", "1 = 1", nil),
        ("command, command: /usr/bin/test 1 = 2", "1 = 2", "exit code 1"),
      ]
      let own = kinds.map { "{kind: \($0.yaml), interval: 0.3, rise: 1, fall: 1, initial: down}" }
      let director = try Self.director(
        on: served, health: "{on-failure: inhibit}",
        own: ", checks: [\(own.joined(separator: ", "))]")
      for (_, name, cause) in kinds {
        func check() throws -> CheckReport {
          let all = try JSONDecoder().decode(
            [CheckReport].self, from: Data(director.get("checks").utf8))
          return try #require(all.first { $0.check.hasSuffix(name) }, "\(name)")
        }
        let isSo = try waitUntil(seconds: 20) {
          let check = try check()
          return check.isUp == (cause == nil) && check.lastFailure == cause
            && check.successes + check.failures > 0
        }
        let last = try check()
        #expect(isSo, "\(last)")
      }
    }

    /// A real server that answers for itself and has lost the VIP is what clients find dead and a
    /// plain check finds well. It forwards packets here, which must not save it.
    @Test func aRealServerWithoutTheVIPIsFoundDown() throws {
      let served = try ServedLan()
      let schedule = "interval: 0.2, timeout: 1, rise: 2, fall: 2, initial: down"
      let director = try Self.director(
        on: served,
        health: """
          {checks: [{kind: tcp, \(schedule)}, {kind: tcp, to: vip, \(schedule)},
            {kind: ping, to: vip, \(schedule)}]}
          """,
        more: """
          - vip: \(Lan.vip)
            protocol: udp
            port: 53
            health: {checks: [{kind: udp, to: vip, payload: x, reply: rs1, \(schedule)}]}
            real-servers: [{address: 192.168.1.151}]
          - vip: \(Lan.vip6)
            protocol: tcp
            port: 80
            health:
              checks:
              - {kind: tcp, to: vip, \(schedule)}
              - {kind: ping, to: vip, \(schedule)}
            real-servers: [{address: "fd00:1::151"}]
          """)
      func states(of realServer: String) throws -> [String: Bool] {
        let all = try JSONDecoder().decode(
          [CheckReport].self, from: Data(director.get("checks").utf8))
        return all.filter { "\($0.realServer)" == realServer }
          .reduce(into: [:]) { $0[$1.check] = $1.isUp }
      }
      let (plain, host) = ("tcp 192.168.1.151:80", served.lan.realServers[0])
      let asked: Set = [
        "tcp \(Lan.vip):80 at 192.168.1.151", "ping \(Lan.vip) at 192.168.1.151",
        "udp \(Lan.vip):53 at 192.168.1.151",
      ]
      let asked6: Set = [
        "tcp [\(Lan.vip6)]:80 at fd00:1::151", "ping \(Lan.vip6) at fd00:1::151",
      ]
      func found(_ isUp: Bool) throws -> Bool {
        try waitUntil(seconds: 20) {
          let (states, states6) = (
            try states(of: "192.168.1.151"), try states(of: "fd00:1::151")
          )
          return states[plain] == true && Set(states.keys) == asked.union([plain])
            && Set(states6.keys) == asked6 && asked.allSatisfy { states[$0] == isUp }
            && asked6.allSatisfy { states6[$0] == isUp }
        }
      }
      func expect(_ isUp: Bool) throws {
        let isFound = try found(isUp)
        let checks = try director.martinet("checks")
        #expect(isFound, "\(isUp): \(checks)\(director.process.output)")
      }
      try expect(true)
      #expect(try Self.answers(served, ["rs1", "rs2"]))
      try host.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
      for address in ["\(Lan.vip)/32", "\(Lan.vip6)/128"] {
        try host.ip("address del \(address) dev lo")
      }
      try expect(false)
      #expect(try host.curl("http://192.168.1.151/") == .body("rs1"))
      #expect(try Self.answers(served, ["rs2"]))
      for address in ["\(Lan.vip)/32", "\(Lan.vip6)/128"] {
        try host.ip("address add \(address) dev lo")
      }
      try expect(true)
      #expect(try Self.answers(served, ["rs1", "rs2"]))
      // Each half-open connection ends with its check: left alone it would last for a minute, and
      // another would have joined it by the next check.
      #expect(try waitUntil { try host.run("ss -Htan state syn-recv").isEmpty })
    }
  }
}

/// Programs that checks ask: HTTPS on port 8443, a DNS server on 5353, UDP echoes on 7777.
private final class CheckedPrograms {
  let path = NSTemporaryDirectory() + "martinet-test-" + UUID().uuidString
  private var programs: [Child] = []

  init(on host: Machine) throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let made = try Child.run([
      "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
      "/CN=rs1.test", "-addext", "subjectAltName=DNS:rs1.test", "-keyout", "\(path)/key", "-out",
      "\(path)/certificate",
    ])
    guard made.ending == .exit(0) else { throw Failure("openssl: \(made.output)") }
    try """
    daemon off; master_process off; pid \(path)/pid; error_log stderr;
    events {}
    http {
      access_log off; client_body_temp_path \(path); proxy_temp_path \(path);
      fastcgi_temp_path \(path); uwsgi_temp_path \(path); scgi_temp_path \(path);
      ssl_certificate \(path)/certificate; ssl_certificate_key \(path)/key;
      server { listen 8443 ssl default_server; return 404; }
      server { listen 8443 ssl; server_name rs1.test; return 200 "all is well"; }
    }
    """.write(toFile: "\(path)/nginx.conf", atomically: true, encoding: .utf8)
    programs = [
      try host.start(["nginx", "-e", "stderr", "-c", "\(path)/nginx.conf"]),
      try host.start([
        "dnsmasq", "-k", "-C", "/dev/null", "-p", "5353", "-u", "root", "-R", "-h",
        "--address=/www.test/192.0.2.7", "--local=/test/", "-x", "\(path)/dnsmasq.pid",
      ]),
      try host.start(["socat", "UDP4-RECVFROM:7777,fork", "EXEC:/bin/cat"]),
    ]
  }

  deinit {
    for program in programs {
      program.send(SIGTERM)
      _ = program.wait(seconds: 5)
    }
    try? FileManager.default.removeItem(atPath: path)
  }
}
