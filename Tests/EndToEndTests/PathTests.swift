// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

/// Packets that name no ports, between real hosts: path MTU discovery and fragments.
extension EndToEnd {
  @Suite(.serialized) struct PathTests {
    /// The router's way to the client takes 1400 octets. The real servers learn that only from the
    /// errors that the router sends to the VIP, which is the director's address to it.
    @Test(arguments: [1, 2]) func pathMTUDiscoveryWorksThroughTheDirector(queues: Int) throws {
      let served = try ServedLan(directorQueues: queues)
      try served.lan.router.ip("link set wan0 mtu 1400")
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, ["192.168.1.151", "192.168.1.152"])
      try director.serve(ServedLan.web6, ["[fd00:1::151]:80", "[fd00:1::152]:80"])
      let families = [
        (ServedLan.url, "icmpFragmentationNeeded"), (ServedLan.url6, "icmpv6PacketTooBig"),
      ]
      for (url, kind) in families {
        let replies = try served.ask(4, url + "large")
        #expect(replies.allSatisfy { $0 == .body(ServedLan.large) }, "\(url)")
        let counts = try numbers(kind, in: director.get("queues"))
        // Each of the two real servers learns it once, and keeps it for its next connections.
        #expect(counts.reduce(0, +) >= 2, "\(counts)")
      }
      #expect(try numbers("icmpUnmatched", in: director.get("queues")).reduce(0, +) == 0)
    }

    @Test(arguments: [1, 2]) func datagramsLargerThanTheMTUAreAnswered(queues: Int) throws {
      let served = try ServedLan(directorQueues: queues)
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.names, ["192.168.1.151", "192.168.1.152"])
      let question = String(repeating: "?", count: 4000)
      // Small datagrams open each flow where their ports hash to; fragments follow from elsewhere.
      for port in UInt16(5001)...5008 {
        let answer = try served.query(fromPort: port)
        #expect(["rs1", "rs2"].contains(answer))
        #expect(try served.query(fromPort: port, question) == answer)
      }
      for port in UInt16(5009)...5012 {
        #expect(["rs1", "rs2"].contains(try served.query(fromPort: port, question)))
      }
      let report = try director.get("queues")
      #expect(try numbers("firstFragment", in: report).reduce(0, +) == 12)
      #expect(try numbers("laterFragment", in: report).reduce(0, +) == 24)
      #expect(try numbers("fragmentUnmatched", in: report).reduce(0, +) == 0)
    }

    /// curl's kernel takes port unreachable for an answer to its SYN and gives up at once.
    @Test func withoutARealServerTheClientIsToldSo() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.ipvsadm("-A \(ServedLan.web) -s rr")
      try director.ipvsadm("-A \(ServedLan.web6) -s rr")
      #expect(try served.ask(1) == [.refused])
      #expect(try served.ask(1, ServedLan.url6) == [.refused])
      let report = try director.get("queues")
      #expect(try numbers("portUnreachable", in: report).reduce(0, +) >= 2)
      #expect(try numbers("noRealServer", in: report).reduce(0, +) >= 2)
    }
  }
}
