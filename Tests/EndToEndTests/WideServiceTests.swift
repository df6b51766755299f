// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import Foundation
import TestSupport
import Testing

/// Services of many ports with real clients and servers.
extension EndToEnd {
  @Suite(.serialized) struct WideServiceTests {
    /// nginx listens on two ports; a client has one real server on both, over either IP version.
    @Test func aServiceOfAllPortsKeepsItsClients() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      let services = [
        (Lan.vip, "-t \(Lan.vip):0", ["192.168.1.151", "192.168.1.152"]),
        ("[\(Lan.vip6)]", "-t [\(Lan.vip6)]:0", ["[fd00:1::151]:0", "[fd00:1::152]:0"]),
      ]
      for (host, service, realServers) in services {
        try director.serve(service, scheduler: "rr -p 60", realServers)
        let replies = try (0..<6).map { number in
          try served.lan.client.curl("http://\(host):\(number % 2 == 0 ? 80 : 8080)/")
        }
        #expect(Set(replies.map(String.init(describing:))).count == 1, "\(replies)")
        #expect(replies[0] == .body("rs1") || replies[0] == .body("rs2"), "\(replies)")
        // The real server's own kernel says so: no port stays with the director's.
        #expect(try served.lan.client.curl("http://\(host):81/") == .refused)
      }
      let connections = try director.ipvsadm("-Lnc")
      for port in [80, 8080, 81] { #expect(connections.contains("\(Lan.vip):\(port) ")) }
      #expect(connections.contains("ASSURED     10.0.0.2:0 "), "\(connections)")
      let tables = try director.ipvsadm("-Ln").split(separator: "\n")
      #expect(tables.contains("TCP  \(Lan.vip):0 rr persistent 60"))
      // Datagrams are another protocol's.
      #expect(try served.query(fromPort: 5001).isEmpty)
      try director.ipvsadm("-D -t \(Lan.vip):0")
      #expect(try served.ask(1) == [.refused])
    }

    /// Two VIPs in one mark: a client has one real server on both, and keeps what is no part of it.
    @Test func aMarkJoinsTwoVIPs() throws {
      let served = try ServedLan()
      let other = "192.168.1.148"
      for host in served.lan.realServers {
        try host.run("\(RunningDirector.executable) realserver up \(other)")
      }
      try served.lan.director.ip("address add \(other)/32 dev lan0")
      let director = try RunningDirector(on: served.lan.director)
      func mark(_ words: String) throws -> (ending: Child.Ending, output: String) {
        try director.host.finish(
          [RunningDirector.executable, "mark"] + words.split(separator: " ").map(String.init)
            + ["--control", director.controlPath])
      }
      let ports = "--tcp \(Lan.vip):80-90 --tcp \(other):8080"
      #expect(try mark("add 1 \(ports)").ending == .exit(0))
      #expect(
        try mark("list").output == "1 --tcp \(Lan.vip):80-90\n1 --tcp \(other):8080\n")
      let marks = try [mark("list --json").output, director.get("marks")].map {
        try JSONDecoder().decode([MarkReport].self, from: Data($0.utf8))
      }
      #expect(marks[0] == marks[1] && marks[0].first?.ports.count == 2)
      try director.ipvsadm("-A -f 1 -s rr -p 60")
      for server in [151, 152] { try director.ipvsadm("-a -f 1 -r 192.168.1.\(server)") }
      let resolved = try waitUntil { try !director.ipvsadm("-Ln").contains("unresolved") }
      #expect(resolved)
      let urls = ["http://\(Lan.vip)/", "http://\(other):8080/"]
      let replies = try (0..<6).map { try served.lan.client.curl(urls[$0 % 2]) }
      #expect(Set(replies.map(String.init(describing:))).count == 1, "\(replies)")
      #expect(replies[0] == .body("rs1") || replies[0] == .body("rs2"), "\(replies)")
      #expect(try served.lan.client.curl("http://\(other)/") == .refused)
      let connections = try director.ipvsadm("-Lnc")
      #expect(connections.contains("\(other):8080") && connections.contains("\(Lan.vip):80 "))
      #expect(connections.contains("0.0.0.1:0"), "\(connections)")
      #expect(try mark("remove 1 --tcp \(other):8080").ending == .exit(0))
      #expect(try served.lan.client.curl(urls[1]) == .refused)
      let refused = try mark("add 2 --tcp \(Lan.vip):90")
      #expect(refused.ending == .exit(65) && refused.output.contains("which is in mark 1"))
    }
  }
}
