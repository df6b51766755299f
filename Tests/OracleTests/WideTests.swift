// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// What is wider than a port, or than a frame: services of all ports, firewall marks, fragments,
/// and whole tables of `mh`.
extension Oracle {
  @Suite(.serialized) struct WideTests {
    private static let vip = TwoDirectors.vip
    private static let realServers = [151: 2, 152: 1, 153: 3]

    private func serve(_ pair: TwoDirectors, _ service: String, _ options: String) throws {
      try pair.ipvsadm("-A \(service) \(options)")
      for (number, weight) in Self.realServers.sorted(by: { $0.key < $1.key }) {
        try pair.ipvsadm("-a \(service) -r 192.168.2.\(number) -w \(weight)")
      }
    }

    /// Segments of eight clients to ports of their own; tells how many real servers took part. Half
    /// of them are strays, and a worker answers 50 of those at once (`icmp_msgs_burst`).
    private func converse(
      _ pair: TwoDirectors, ports: ClosedRange<UInt16>, seed: UInt64
    ) throws -> Int {
      var generator = Seed(seed)
      let steps = (0..<60).map { _ in
        let client = UInt8.random(in: 1...8, using: &generator)
        let flags = [TCPFlags.syn, .syn, .ack, [.psh, .ack]].randomElement(using: &generator)!
        let sourcePort = Port(.random(in: 100..<103, using: &generator))
        let destinationPort = Port(.random(in: ports, using: &generator))
        let packet = PacketBuilder(from: "10.0.\(client).2", to: Self.vip).onWire.with {
          $0.sourcePort = sourcePort
          $0.destinationPort = destinationPort
          $0.tcpFlags = flags
        }
        let words = "\(client) to \(destinationPort), flags \(flags.rawValue)"
        return Step(frame: packet.frame, words: words)
      }
      var seen: Set<Int> = []
      for (step, outcomes) in zip(steps, try pair.send(steps)) {
        #expect(outcomes.kernel.isSame(as: outcomes.martinet), "\(step.words): \(outcomes)")
        if let number = outcomes.kernel.realServer { seen.insert(number) }
      }
      try pair.compareTables()
      return seen.count
    }

    /// A client of a service of all ports, or of a persistent mark, has one real server on all of
    /// it. Traffic control gives the kernel the marks that `martinet mark` stands for.
    @Test func manyPorts() throws {
      let pair = try TwoDirectors()
      try serve(pair, "-t \(Self.vip):0", "-s wrr -p 300")
      try serve(pair, "-t \(Self.vip):443", "-s lc")
      #expect(try converse(pair, ports: 440...443, seed: 1) == 3)
      for (number, options) in zip(1..., ["-s wlc", "-s wrr -p 300", "-s mh -b mh-port"]) {
        let first = UInt16(8000 + 10 * number)
        try pair.mark(number, tcpPorts: first...first + 3)
        try serve(pair, "-f \(number)", options)
        // The last one belongs to the service of all ports.
        #expect(try converse(pair, ports: first...first + 4, seed: 1 + UInt64(number)) == 3)
      }
    }

    /// Two datagrams of two clients, over either IP version, whose fragments come by turns. The
    /// kernel sends fragments anew: what they carry goes the same way, whole.
    @Test func fragments() throws {
      let pair = try TwoDirectors()
      for isIPv6 in [false, true] {
        let service = isIPv6 ? "-u [\(TwoDirectors.vip6)]:53" : "-u \(Self.vip):53"
        try pair.ipvsadm("-A \(service) -s rr")
        for number in 151...152 {
          let name = isIPv6 ? "[fd00:2::\(number)]:53" : "192.168.2.\(number)"
          try pair.ipvsadm("-a \(service) -r \(name)")
        }
        let datagrams = [UInt16(2), 3].map { Self.fragments(of: $0, isIPv6: isIPv6) }
        let answers = try pair.send(together: zip(datagrams[0], datagrams[1]).flatMap { [$0, $1] })
        let headerBytes = isIPv6 ? 14 + 40 + 8 : 14 + 20
        let expected = datagrams.map { $0.flatMap { $0[headerBytes...] } }
        for (name, frames) in [("kernel", answers.kernel), ("Martinet", answers.martinet)] {
          let parts = Dictionary(grouping: frames) { $0[5] }.sorted { $0.key > $1.key }
          #expect(parts.map(\.key) == [152, 151], "\(name)")
          #expect(parts.map { $0.value.flatMap { $0[headerBytes...] } } == expected, "\(name)")
        }
      }
    }

    /// Of the client with this last number.
    private static func fragments(of client: UInt16, isIPv6: Bool) -> [[UInt8]] {
      PacketBuilder(
        from: (isIPv6 ? "fd00:10::" : "10.0.0.") + "\(client)",
        to: isIPv6 ? TwoDirectors.vip6 : vip
      ).onWire.with {
        $0.ipProtocol = .udp
        $0.destinationPort = Port(53)
        $0.fragmentField = 0
        $0.payload = (0..<4000).map { UInt8(truncatingIfNeeded: $0 / 7 * Int(client)) }
      }.fragments(of: 1400, identification: client)
    }

    /// The whole of the tables: a datagram from each of many clients, for three lists.
    @Test func tablesOfMaglev() throws {
      let pair = try TwoDirectors()
      let service = "-u \(Self.vip):53"
      let weights = [[1, 1], [5, 1, 9, 2], [65535, 3, 3, 70, 1, 65535, 12]]
      for (number, weights) in weights.enumerated() {
        try pair.ipvsadm("-A \(service) -o -s mh")
        for (number, weight) in weights.enumerated() {
          try pair.ipvsadm("-a \(service) -r 192.168.2.\(151 + number) -w \(weight)")
        }
        let steps = (0..<(Oracle.isShort ? 100 : 2000)).map { client in
          let address = "10.\(number).\(client / 250).\(client % 250 + 1)"
          let packet = PacketBuilder(from: address, to: Self.vip).onWire.with {
            $0.ipProtocol = .udp
            $0.destinationPort = Port(53)
          }
          return Step(frame: packet.frame, words: address)
        }
        let wrong = zip(steps, try pair.send(steps)).filter { !$1.kernel.isSame(as: $1.martinet) }
        #expect(
          wrong.isEmpty, "\(weights): \(wrong.count) wrong, \(wrong.prefix(3).map(\.0.words))")
        try pair.ipvsadm("-D \(service)")
      }
    }
  }
}
