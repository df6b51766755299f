// SPDX-License-Identifier: Apache-2.0
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
  }
}
