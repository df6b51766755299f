// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import Foundation
import TestSupport
import Testing

/// Checks of real servers that are really there, and are killed and brought back.
extension EndToEnd {
  @Suite(.serialized) struct HealthCheckTests {
    private static let fast = "interval: 0.2, timeout: 1, rise: 2, fall: 2"

    @Test func whoDiesIsInhibitedAndComesBack() throws {
      let served = try ServedLan()
      let director = try served.director(
        health: "{checks: [{kind: tcp, \(Self.fast)}]}",
        ["--metrics", "127.0.0.1:9749"])
      #expect(try served.isAnswered(by: ["rs1", "rs2"]))
      served.stopNginx(on: served.lan.realServers[0])
      #expect(try served.isAnswered(by: ["rs2"]))
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
      #expect(try served.isAnswered(by: ["rs1", "rs2"]))
    }

    @Test func whoDiesIsRemovedWhereAskedFor() throws {
      let served = try ServedLan()
      let director = try served.director(
        health: "{checks: [{kind: tcp, \(Self.fast)}], on-failure: remove}")
      #expect(try served.isAnswered(by: ["rs1", "rs2"]))
      served.stopNginx(on: served.lan.realServers[1])
      #expect(try served.isAnswered(by: ["rs1"]))
      #expect(try !director.ipvsadm("-Ln").contains("192.168.1.152"))
      #expect(try numbers("weight", in: director.get("services")) == [1, 1])
      try served.startNginx(on: served.lan.realServers[1])
      #expect(try served.isAnswered(by: ["rs1", "rs2"]))
    }

    @Test func theSorryServerStandsInAndGoesAgain() throws {
      let served = try ServedLan()
      let director = try served.director(
        health: """
          {checks: [{kind: tcp, \(Self.fast)}], sorry-server: 192.168.1.152, on-failure: remove,
            slow-start: 2}
          """, others: "")
      #expect(try served.isAnswered(by: ["rs1"]))
      #expect(try !director.ipvsadm("-Ln").contains("192.168.1.152"))
      served.stopNginx(on: served.lan.realServers[0])
      #expect(try served.isAnswered(by: ["rs2"]))
      let listing = try director.ipvsadm("-Ln")
      #expect(listing.contains("-> 192.168.1.152:80 ") && !listing.contains("192.168.1.151"))
      let rules = try director.ipvsadm("-Sn")
      #expect(
        rules.contains("-r 192.168.1.151:80 ") && !rules.contains("192.168.1.152"), "\(rules)")
      #expect(try director.get("services").contains("\"hasQuorum\":false"))
      try served.startNginx(on: served.lan.realServers[0])
      #expect(try served.isAnswered(by: ["rs1"]))
    }

    /// A check in YAML, what its name ends in, and why it fails.
    private typealias Kind = (yaml: String, name: String, cause: String?)
    private static let silence = "no answer within 1.0 s"

    /// Of a host with `CheckedPrograms`.
    private static func kinds(folder: String) -> [Kind] {
      let ca = "ca-file: \(folder)/certificate"
      return [
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
        (
          "udp, port: 7779, payload: hello, reply: world", "udp 192.168.1.151:7779",
          "the reply is without the text"
        ),
        ("udp, port: 7780, payload: hello, require-reply: true", "151:7780", silence),
        ("dns, port: 5353, name: www.test, type: A", "www.test A", nil),
        ("dns, port: 5353, name: none.test, type: A", "none.test A", "dns: no such name"),
        ("dns, port: 7777, name: echo.test, type: A", "echo.test A", silence),
        ("dns, port: 7780, name: mute.test, type: A", "mute.test A", silence),
        ("ping", "ping 192.168.1.151", nil),
        ("command, command: /usr/bin/test 1 = 1", "test #45df", nil),
        ("command, command: /usr/bin/test 1 = 2", "test #41a6", "exit code 1"),
        ("command, command: /bin/sleep 1000", "sleep #e853", silence),
        ("command, command: /usr/bin/head -c 1000000 /dev/zero", "head #8720", nil),
        ("http, port: 9001", "http 192.168.1.151:9001/", "no HTTP answer"),
        ("https, port: 9001", "https 192.168.1.151:9001/", "tls: wrong version number"),
        ("http, port: 9002", "http 192.168.1.151:9002/", silence),
        ("https, port: 9002", "https 192.168.1.151:9002/", silence),
      ]
    }

    private static func list(_ kinds: [Kind]) -> String {
      let schedule = "interval: 0.3, timeout: 1, rise: 1, fall: 1, initial: down"
      return "checks: [\(kinds.map { "{kind: \($0.yaml), \(schedule)}" }.joined(separator: ", "))]"
    }

    /// An ICMP error ends a ping, long before its timeout, and is told with who sent it.
    @Test func aPingThatIsRejectedSaysByWhom() throws {
      let served = try ServedLan()
      let host = served.lan.realServers[0]
      // As `announce` has it: no ping comes from it, whose errors the director would not see.
      try served.lan.director.ip("address change \(Lan.vip6)/128 dev lan0 preferred_lft 0")
      // It is the way to .154, and lets nobody there.
      try host.run(
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
          + "net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0")
      let rejected = ["192.168.1.154", "fd00:1::154"]
      for address in rejected {
        try host.ip("route add prohibit \(address)")
        try served.lan.director.ip(
          "neighbor replace \(address) lladdr \(Lan.mac(151)) dev lan0 nud permanent")
      }
      let checks = "checks: [{kind: ping, interval: 0.3, timeout: 3600, rise: 1, fall: 1}]"
      let director = try served.director(
        health: "{on-failure: inhibit}", others: ", {address: 192.168.1.154, \(checks)}",
        more: """
          - vip: "\(Lan.vip6)"
            protocol: tcp
            port: 80
            real-servers: [{address: "fd00:1::154", \(checks)}]
          """)
      for (address, sender) in zip(rejected, ["192.168.1.151", "fd00:1::151"]) {
        let isSo = try waitUntil(seconds: 20) {
          let check = try director.checks().first { $0.check == "ping \(address)" }
          return check?.isUp == false && check?.lastFailure == "prohibited, says \(sender)"
        }
        let listing = try director.martinet("checks")
        #expect(isSo, "\(listing)")
      }
    }

    /// Real counterparts of each kind: what they answer well is up, and down where it is asked for
    /// something else; garbage is no answer, and who never answers is given up.
    @Test(.requires(.commands("openssl", "dnsmasq"))) func everyKindAsksItsOwn() throws {
      let served = try ServedLan()
      let host = served.lan.realServers[0]
      let programs = try CheckedPrograms(on: host)
      defer { programs.stop() }
      let kinds = Self.kinds(folder: programs.path)
      let mute: [Kind] = [
        ("tcp", "tcp 192.168.1.153:80", Self.silence), ("ping", "192.168.1.153", Self.silence),
      ]
      // It hears, and says nothing.
      try host.run(
        "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.lan0.rp_filter=0")
      try host.ip("address add 192.168.1.153/24 dev lan0")
      try host.ip("rule add from 192.168.1.153 blackhole")
      let director = try served.director(
        health: "{on-failure: inhibit}", own: ", \(Self.list(kinds))",
        others: ", {address: 192.168.1.153, \(Self.list(mute))}")
      for (_, name, cause) in kinds + mute {
        func check() throws -> CheckReport {
          try #require(director.checks().first { $0.check.hasSuffix(name) }, "\(name)")
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
    @Test(.requires(.commands("openssl", "dnsmasq")))
    func aRealServerWithoutTheVIPIsFoundDown() throws {
      let served = try ServedLan()
      let host = served.lan.realServers[0]
      let programs = try CheckedPrograms(on: host)
      defer { programs.stop() }
      let schedule = "interval: 0.2, timeout: 1, rise: 2, fall: 2, initial: down"
      let director = try served.director(
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
          - vip: \(Lan.vip)
            protocol: udp
            port: 5353
            health:
              checks:
              - {kind: dns, to: vip, name: www.test, type: A, \(schedule)}
              - {kind: dns, to: vip, name: none.test, type: A, \(schedule)}
            real-servers: [{address: 192.168.1.151}]
          - vip: \(Lan.vip6)
            protocol: tcp
            port: 80
            health:
              checks:
              - {kind: tcp, to: vip, \(schedule)}
              - {kind: ping, to: vip, \(schedule)}
              - {kind: dns, to: vip, port: 5353, name: www.test, type: A, \(schedule)}
              - {kind: udp, to: vip, port: 53, payload: x, reply: rs2, \(schedule)}
            real-servers: [{address: "fd00:1::151"}]
          """)
      let plain = "tcp 192.168.1.151:80"
      let wrong = [
        "dns \(Lan.vip):5353 none.test A at 192.168.1.151": "dns: no such name",
        "udp [\(Lan.vip6)]:53 at fd00:1::151": "the reply is without the text",
      ]
      let asked: Set = [
        "tcp \(Lan.vip):80 at 192.168.1.151", "ping \(Lan.vip) at 192.168.1.151",
        "udp \(Lan.vip):53 at 192.168.1.151", "dns \(Lan.vip):5353 www.test A at 192.168.1.151",
        "tcp [\(Lan.vip6)]:80 at fd00:1::151", "ping \(Lan.vip6) at fd00:1::151",
        "dns [\(Lan.vip6)]:5353 www.test A at fd00:1::151",
      ]
      func found(_ isUp: Bool) throws -> Bool {
        try waitUntil(seconds: 20) {
          let checks = try director.checks().filter { "\($0.realServer)" != "192.168.1.152" }
          guard Set(checks.map(\.check)) == asked.union(wrong.keys).union([plain]) else {
            return false
          }
          return checks.allSatisfy { check in
            if let cause = wrong[check.check] {
              return !check.isUp && check.lastFailure == (isUp ? cause : Self.silence)
            }
            return check.isUp == (isUp || check.check == plain)
          }
        }
      }
      func expect(_ isUp: Bool) throws {
        let isFound = try found(isUp)
        let checks = try director.martinet("checks")
        #expect(isFound, "\(isUp): \(checks)\(director.process.output)")
      }
      try expect(true)
      #expect(try served.isAnswered(by: ["rs1", "rs2"]))
      try host.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
      for address in ["\(Lan.vip)/32", "\(Lan.vip6)/128"] {
        try host.ip("address del \(address) dev lo")
      }
      try expect(false)
      #expect(try host.curl("http://192.168.1.151/") == .body("rs1"))
      #expect(try served.isAnswered(by: ["rs2"]))
      for address in ["\(Lan.vip)/32", "\(Lan.vip6)/128"] {
        try host.ip("address add \(address) dev lo")
      }
      try expect(true)
      #expect(try served.isAnswered(by: ["rs1", "rs2"]))
      // Each half-open connection ends with its check: left alone it would last for a minute, and
      // another would have joined it by the next check.
      #expect(try waitUntil { try host.run("ss -Htan state syn-recv").isEmpty })
    }
  }
}
