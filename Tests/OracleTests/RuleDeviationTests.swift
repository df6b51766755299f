// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

#if !DEBUG
  /// The README's differences in commands, services, marks and protocols, against a kernel with its
  /// default settings.
  extension Oracle {
    @Suite(.serialized) struct RuleDeviationTests {
      private static let vip = TwoDirectors.vip
      private static let web = "-t \(vip):80"

      private static func packet(
        _ port: UInt16, to vipPort: UInt16 = 80, _ flags: TCPFlags = .syn
      ) -> PacketBuilder {
        TwoDirectors.packet(from: port, to: vipPort, flags: flags)
      }

      @Test func ofErrors() throws {
        let pair = try TwoDirectors()
        try pair.ipvsadm("-A \(Self.web) -s rr")
        try pair.ipvsadm("-a \(Self.web) -r 192.168.2.151")
        try pair.agree(Self.packet(10), on: 151)
        func error(_ port: UInt16, _ type: UInt8) -> PacketBuilder {
          Self.packet(port).answer.icmpError(from: "10.0.0.1", type: type).onWire
        }
        // What came to the kernel's own stack.
        func localErrors() throws -> Int {
          let lines = try pair.kernel.run("cat /proc/net/snmp").split(separator: "\n")
          let words = lines.last { $0.hasPrefix("Icmp:") }?.split(separator: " ") ?? []
          return try #require(words.count > 1 ? Int(words[1]) : nil)
        }
        let before = try localErrors()
        try pair.agree(error(10, 3), on: 151)
        #expect(try localErrors() == before)
        try pair.agree(error(11, 3), on: nil)
        #expect(try localErrors() == before + 1, "\(Deviation.unmatchedError)")
        let drops = try pair.martinet.queues().map(\.drops)
        #expect(drops.reduce(0) { $0 + ($1["icmpUnmatched"] ?? 0) } == 1, "\(drops)")
        try pair.show(.parameterProblem, error(10, 12), kernel: .nothing, martinet: .to(151))
        #expect(try localErrors() == before + 2, "\(Deviation.parameterProblem)")
      }

      @Test func ofAssociations() throws {
        let pair = try TwoDirectors()
        let service = "--sctp-service [\(TwoDirectors.vip6)]:2905"
        try pair.ipvsadm("-A \(service) -s rr")
        try pair.ipvsadm("-a \(service) -r [fd00:2::151]:2905")
        let packet = PacketBuilder(from: "fd00:10::2", to: TwoDirectors.vip6).onWire.with {
          $0.destinationPort = Port(2905)
        }
        try pair.agree(packet.sctp(sctpChunk(1, [UInt8](repeating: 1, count: 16))), on: 151)
        // Options for the destination, RFC 8200 §4.6, without any.
        let cookie = packet.sctp(sctpChunk(10)).with {
          $0.extensionHeaders = [(60, [0, 0, 1, 4, 0, 0, 0, 0])]
        }
        try pair.agree(cookie, on: 151)
        let states = try pair.lines(of: "SCTP [fd00:10::2]:40000 [").map {
          $0.split(separator: " ")[2]
        }
        #expect(states == ["INIT1", "ESTABLISHED"], "\(Deviation.chunkBehindHeaders)")
      }

      @Test func ofServices() throws {
        let pair = try TwoDirectors()
        try pair.ipvsadm("-A --sctp-service \(Self.vip):2905 -s rr")
        try pair.ipvsadm("-a --sctp-service \(Self.vip):2905 -r 192.168.2.151")
        let stray = TwoDirectors.packet(from: 9, to: 2905).sctp(sctpChunk(0))
        let outcomes = try pair.send(stray)
        // RFC 792: destination unreachable, protocol unreachable, of a stack without SCTP.
        #expect(outcomes.kernel.otherFrames?.map { $0[34..<36] } == [[3, 2]])
        #expect(outcomes.martinet == .nothing, "\(Deviation.strayAssociation)")

        try pair.ipvsadm("-A -t \(Self.vip):21 -s rr -p 300")
        try pair.ipvsadm("-a -t \(Self.vip):21 -r 192.168.2.151")
        try pair.show(
          .passivePorts, Self.packet(10, to: 5000), kernel: .to(151, hops: 1), martinet: .nothing)

        try pair.ipvsadm("-D -t \(Self.vip):21")

        try pair.ipvsadm("-A -t \(Self.vip):0 -s rr -p 300")
        try pair.ipvsadm("-a -t \(Self.vip):0 -r 192.168.2.152")
        try pair.agree(Self.packet(30, to: 8080), on: 152)
        try pair.ipvsadm("-A -t \(Self.vip):8080 -s rr")
        try pair.ipvsadm("-a -t \(Self.vip):8080 -r 192.168.2.153")
        try pair.show(
          .connectionFirst, Self.packet(30, to: 8080, .ack), kernel: .to(152, hops: 1),
          martinet: .reset)
        try pair.agree(Self.packet(31, to: 8080), on: 153)
      }

      @Test func ofMarks() throws {
        let pair = try TwoDirectors()
        try pair.ipvsadm("-A -f 3000000000 -s rr")
        let listings = try pair.answers(to: ["-Ln"]).map(\.answers)[0]
        #expect(listings.kernel.contains("FWM  -1294967296 rr\n"), "\(Deviation.negativeMark)")
        #expect(listings.martinet.contains("FWM  3000000000 rr\n"))

        let other = "192.168.2.148"
        try pair.kernel.run("ip address add \(other)/32 dev vec0")
        defer { try? pair.kernel.run("ip address del \(other)/32 dev vec0") }
        for vip in [Self.vip, other] { try pair.mark(2, tcpPorts: 8900...8901, of: vip) }
        try pair.ipvsadm("-A -f 2 -s lblc")
        for number in [151, 152] { try pair.ipvsadm("-a -f 2 -r 192.168.2.\(number)") }
        let first = try pair.send(Self.packet(1, to: 8900))
        #expect(first.kernel.isSame(as: first.martinet))
        let number = UInt8(try #require(first.kernel.realServer))
        let toOther = Self.packet(2, to: 8900).with { $0.destination = IPAddress(other)! }
        try pair.show(
          .localityOfMarks, toOther, kernel: .to(number ^ 151 ^ 152, hops: 1), martinet: .to(number)
        )
        try pair.ipvsadm("-a -f 2 -r 192.168.2.153:80")
        try pair.showRefusal(
          .severalPorts, "-a -f 2 -r 192.168.2.153:81", says: "Destination already exists")
      }

      @Test func ofCommands() throws {
        let pair = try TwoDirectors()
        try pair.ipvsadm("-A \(Self.web) -s rr")
        for (deviation, words, sentence) in [
          (.methods, "-r 192.168.2.151 -m", "-m"), (.methods, "-r 192.168.2.152 -i", "-i"),
          (.routes, "-r 10.9.9.9", "10.9.9.9"),
        ] as [(Deviation, String, String)] {
          try pair.showRefusal(deviation, "-a \(Self.web) \(words)", says: sentence)
        }
        try pair.ipvsadm("-C")

        // In the middle what is no command, then a command that is refused.
        for (line, kernels, martinets, exits) in [
          ("nonsense", [80], [], (kernel: 255, martinet: 255)),
          ("-D -t \(Self.vip):99", [80, 81], [80, 81], (kernel: 0, martinet: 255)),
        ] as [(String, [Int], [Int], (kernel: Int32, martinet: Int32))] {
          let rules = ["-A -t \(Self.vip):80 -s rr", line, "-A -t \(Self.vip):81 -s rr"]
          let outcomes = try pair.outcomes(ofRestoring: rules)
          func services(_ ports: [Int]) -> [String] {
            ports.map { "-A -t \(Self.vip):\($0) -s rr" }
          }
          let names = "\(Deviation.restoreStops): \(outcomes)"
          #expect(outcomes.kernel.exitCode == exits.kernel, "\(names)")
          #expect(outcomes.martinet.exitCode == exits.martinet, "\(names)")
          #expect(outcomes.kernel.services == services(kernels), "\(names)")
          #expect(outcomes.martinet.services == services(martinets), "\(names)")
          try pair.ipvsadm("-C")
        }
      }
    }
  }
#endif
