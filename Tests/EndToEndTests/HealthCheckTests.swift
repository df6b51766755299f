// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

/// Checks of real servers that are really there, and are killed and brought back.
extension EndToEnd {
  @Suite(.serialized) struct HealthCheckTests {
    /// A director whose configuration file has `health`, one line of YAML, for the web service.
    private static func director(
      on served: ServedLan, health: String, own: String = "", _ arguments: [String] = []
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
        real-servers: [{address: 192.168.1.151\(own)}, {address: 192.168.1.152}]

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
  }
}
