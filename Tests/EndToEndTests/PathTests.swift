// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// Packets that name no ports, between real hosts: fragments and errors.
extension EndToEnd {
  @Suite(.serialized) struct PathTests {
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

    private static let errors: [(isIPv6: Bool, type: UInt8, code: UInt8, name: String)] = [
      (false, 3, 1, "icmpUnreachable"), (false, 3, 4, "icmpFragmentationNeeded"),
      (false, 4, 0, "icmpSourceQuench"), (false, 11, 0, "icmpTimeExceeded"),
      (false, 12, 0, "icmpParameterProblem"), (true, 1, 4, "icmpv6Unreachable"),
      (true, 2, 0, "icmpv6PacketTooBig"), (true, 3, 0, "icmpv6TimeExceeded"),
      (true, 4, 1, "icmpv6ParameterProblem"), (true, 100, 0, "icmpv6Other"),
    ]

    /// Errors of eight routers for either family, which hash to both queues.
    @Test func everyICMPErrorFollowsItsFlowFromAnyQueueAndIsCountedByKind() throws {
      let wire = try Wire(queues: 2)
      let tap = try wire.far.tap("far0")
      let director = try RunningDirector(on: wire.director)
      try director.serve("-t 192.168.2.149:80", ["192.168.2.151", "192.168.2.152"])
      try director.serve("-t [fd00:2::149]:80", ["[fd00:2::151]:80", "[fd00:2::152]:80"])
      func forwarded(_ packet: PacketBuilder) throws -> [UInt8]? {
        let frame = packet.frame
        try tap.send(frame)
        return tap.next { !$0.isOutgoing && $0.octets.dropFirst(12) == frame.dropFirst(12) }?.octets
      }
      for error in Self.errors {
        let flow = PacketBuilder(
          from: error.isIPv6 ? "fd00:10::2" : "10.0.0.2",
          to: error.isIPv6 ? "fd00:2::149" : "192.168.2.149"
        ).with {
          $0.destinationMAC = Wire.directorMAC
          $0.sourcePort = Port(4000 + UInt16(error.type))
        }
        let realServer = try #require(try forwarded(flow)).prefix(6)
        for router in 1...8 {
          let report = flow.answer.icmpError(
            from: error.isIPv6 ? "fd00:9::\(router)" : "172.16.\(router).1", type: error.type,
            code: error.code)
          #expect(try forwarded(report)?.prefix(6) == realServer, "\(error), router \(router)")
        }
      }
      let report = try director.get("queues")
      let counts = try Self.errors.map { try numbers($0.name, in: report) }
      #expect(counts.allSatisfy { $0.count == 2 && $0.reduce(0, +) == 8 }, "\(counts)")
      for queue in 0..<2 { #expect(counts.contains { $0[queue] > 0 }, "\(counts)") }
    }

    /// The director's kernel answers echo requests to the VIP, as it does for its own address.
    @Test func echoStaysWithTheKernel() throws {
      let wire = try Wire(realServers: [151, 200])
      let tap = try wire.far.tap("far0")
      let director = try RunningDirector(on: wire.director)
      try director.serve("-t 192.168.2.149:80", ["192.168.2.151"])
      try director.serve("-t [fd00:2::149]:80", ["[fd00:2::151]:80"])
      for (client, vip, type, answer) in [
        ("192.168.2.200", "192.168.2.149", UInt8(8), UInt8(0)),
        ("fd00:2::200", "fd00:2::149", 128, 129),
      ] {
        // An ICMP error has the form of any other ICMP message, checksum included.
        let request = PacketBuilder(from: vip, to: client)
          .icmpError(from: client, type: type, word: 0x0102_0304)
          .with { $0.destinationMAC = Wire.directorMAC }
        try tap.send(request.frame)
        let offset = answer == 0 ? 34 : 54
        let reply = tap.next {
          !$0.isOutgoing && $0.octets.starts(with: Lan.mac(200).octets)
            && $0.octets.count > offset + 8 && $0.octets[offset] == answer
            && $0.octets[(offset + 4)..<(offset + 8)] == [1, 2, 3, 4]
        }
        #expect(reply != nil, "\(vip)")
      }
      #expect(try director.queues().map { $0.worker["received"] } == [0])
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
