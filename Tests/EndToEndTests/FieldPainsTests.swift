// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import DataPlane
import Foundation
import TestSupport
import Testing

/// What users of load balancers complain about most, by name, between real hosts.
extension EndToEnd {
  @Suite(.serialized) struct FieldPainsTests {
    private static let web = ["192.168.1.151", "192.168.1.152"]
    private static let web6 = ["[fd00:1::151]:80", "[fd00:1::152]:80"]

    /// A connection from one port of the client to a VIP, as soon as its own kernel lets it.
    private static func connect(
      _ served: ServedLan, fromPort port: UInt16, isIPv6: Bool = false
    ) throws -> StreamSocket {
      var (connection, refusal): (StreamSocket?, (any Error)?)
      _ = waitUntil {
        do {
          connection = try StreamSocket(
            on: served.lan.client,
            from: SocketAddress(isIPv6 ? "fd00:10::2" : "10.0.0.2", port: port),
            to: SocketAddress(isIPv6 ? Lan.vip6 : Lan.vip, port: 80))
        } catch let error as SystemError where [EADDRNOTAVAIL, EADDRINUSE].contains(error.errno) {
          refusal = error
        } catch {
          refusal = error
          return true
        }
        return connection != nil
      }
      if let connection { return connection }
      throw refusal ?? Failure("no connection from port \(port)")
    }

    /// What all queues count by this name.
    private static func sum(_ counter: String, _ director: RunningDirector) throws -> UInt64 {
      let reports = try JSONDecoder().decode(
        [QueueReport].self, from: Data(director.get("queues").utf8))
      return try reports.reduce(0) { sum, queue in
        let counters = [queue.worker, queue.drops, queue.sideTraffic]
        return try sum + #require(counters.compactMap { $0[counter] }.first, "\(counter)")
      }
    }

    private static func macAddress(of host: Machine) throws -> MACAddress {
      let words = try host.run("ip -br link show wan0").split(separator: " ")
      return try #require(words.count > 2 ? MACAddress(String(words[2])) : nil, "\(words)")
    }

    /// A client's NAT uses a port again while the director's record of it is in FIN_WAIT: the first
    /// SYN counts, so that nobody waits the second until it is repeated.
    @Test(arguments: [false, true]) func portReuseWithinFinWait(isIPv6: Bool) throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      let service = isIPv6 ? ServedLan.web6 : ServedLan.web
      try director.serve(service, isIPv6 ? Self.web6 : Self.web)
      for round in 0..<6 {
        if round > 0 {
          #expect(try waitUntil { try director.ipvsadm("-Lnc").contains("FIN_WAIT") })
        }
        let connection = try Self.connect(served, fromPort: 4001, isIPv6: isIPv6)
        #expect(["rs1", "rs2"].contains(try connection.get(closes: true)))
        #expect(connection.retransmits == 0, "round \(round)")
      }
      let servers = try director.realServersOf(service)
      #expect(servers.map(\.statistics.connections) == [3, 3], "each was scheduled anew")
      #expect(try Self.sum("noConnection", director) == 0)
    }

    /// A real server is drained (`-w 0`): connections it has go on, and a client that begins anew,
    /// from a port the director remembers it by, is not sent there once more.
    @Test func firstSYNToADrainingServer() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, Self.web)
      let living = try (0..<2).map { try Self.connect(served, fromPort: 4001 + $0) }
      let names = try living.map { try $0.get(closes: false) }
      #expect(names.sorted() == ["rs1", "rs2"])
      var ended = try (0..<2).map { try Self.connect(served, fromPort: 4011 + $0) }
      let drained = try ended[0].get(closes: true)
      #expect(try ended[1].get(closes: true) != drained)
      ended = []
      let number = drained == "rs1" ? 151 : 152
      try director.ipvsadm("-e \(ServedLan.web) -r 192.168.1.\(number) -w 0")
      for port in UInt16(4011)...4016 {
        let connection = try Self.connect(served, fromPort: port)
        #expect(try connection.get(closes: true) != drained, "port \(port)")
        #expect(connection.retransmits == 0, "port \(port)")
      }
      #expect(try living.map { try $0.get(closes: false) } == names)
      #expect(living.allSatisfy { $0.retransmits == 0 })
    }

    /// A resolver asks without pause from one port, so that its flow never expires, and the real
    /// server it has goes.
    @Test func udpTalkerWhoseServerLeft() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.names, Self.web)
      let talker = try DatagramSocket(on: served.lan.client, address: "10.0.0.2", port: 5001)
      let first = try talker.ask("?", of: Lan.vip, port: 53)
      #expect(["rs1", "rs2"].contains(first))
      let number = first == "rs1" ? 151 : 152
      try director.ipvsadm("-d \(ServedLan.names) -r 192.168.1.\(number)")
      var answers: [String] = []
      let hasMoved = waitUntil {
        talker.send("?")
        answers.append(talker.receive(waits: false))
        return answers.contains { !$0.isEmpty && $0 != first }
      }
      #expect(hasMoved, "\(answers.suffix(10))")
      #expect(try Self.sum("realServerRemoved", director) == 0)
    }

    /// A datagram's fragments come in any order, from the last to the first too: the real server
    /// gets all of them.
    @Test(arguments: [1, 2], [false, true])
    func fragmentOutOfOrder(queues: Int, isIPv6: Bool) throws {
      let served = try ServedLan(directorQueues: queues)
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(
        isIPv6 ? ServedLan.names6 : ServedLan.names,
        isIPv6
          ? ["[fd00:1::151]:53", "[fd00:1::152]:53"] : Self.web)
      let (client, vip) = isIPv6 ? ("fd00:10::2", Lan.vip6) : ("10.0.0.2", Lan.vip)
      let tap = try served.lan.client.tap("wan0")
      let (routerMAC, clientMAC) =
        (try Self.macAddress(of: served.lan.router), try Self.macAddress(of: served.lan.client))
      for (round, order) in [[2, 1, 0], [1, 2, 0], [2, 0, 1]].enumerated() {
        let port = UInt16(5001 + round)
        let talker = try DatagramSocket(on: served.lan.client, address: client, port: port)
        try talker.connect(to: vip, port: 53)
        // The neighbours know each other from here on.
        talker.send("?")
        let name = talker.receive()
        #expect(["rs1", "rs2"].contains(name))
        let fragments = PacketBuilder(from: client, to: vip).with {
          ($0.destinationMAC, $0.sourceMAC) = (routerMAC, clientMAC)
          $0.ipProtocol = .udp
          $0.sourcePort = Port(port)
          $0.destinationPort = Port(53)
          $0.payload = [UInt8](repeating: 63, count: 4000)
          $0.fragmentField = 0
        }.fragments(of: 1400, identification: 900 + port)
        for place in order { try tap.send(fragments[place]) }
        #expect(talker.receive() == name, "\(order)")
      }
      #expect(try Self.sum("held", director) == 5)
      #expect(try Self.sum("released", director) == 5)
      #expect(try Self.sum("firstFragment", director) == 3)
      #expect(try Self.sum("laterFragment", director) == 6)
    }

    /// The router's way to the client takes 1400 octets, and the real servers' segments must not be
    /// fragmented. They learn that only from the errors that the router sends to the VIP, which is
    /// the director's address to it.
    @Test(arguments: [1, 2]) func pathMTUDiscovery(queues: Int) throws {
      let served = try ServedLan(directorQueues: queues)
      try served.lan.router.ip("link set wan0 mtu 1400")
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, Self.web)
      try director.serve(ServedLan.web6, Self.web6)
      let tap = try served.lan.fabric.tap("director")
      let families = [
        (ServedLan.url, "icmpFragmentationNeeded"), (ServedLan.url6, "icmpv6PacketTooBig"),
      ]
      for (url, kind) in families {
        let replies = try served.ask(4, url + "large")
        #expect(replies.allSatisfy { $0 == .body(ServedLan.large) }, "\(url)")
        // Each of the two real servers learns it once, and keeps it for its next connections.
        #expect(try Self.sum(kind, director) >= 2)
      }
      #expect(try Self.sum("icmpUnmatched", director) == 0)
      let relayed = tap.all { !$0.isOutgoing && Self.asksForSmallerPackets($0.octets) }
      let reached = Set(relayed.map { [UInt8]($0.octets[..<6]) + $0.octets[12..<14] })
      #expect(reached.count == 4, "both real servers by both families: \(reached)")
    }

    /// RFC 792, RFC 4443 §3.2; the quoted IPv4 packet has DF set.
    private static func asksForSmallerPackets(_ frame: [UInt8]) -> Bool {
      if frame.count > 60, frame[12...13] == [0x08, 0], frame[23] == 1 {
        return frame[34...35] == [3, 4] && frame[42 + 6] & 0x40 != 0
      }
      return frame.count > 60 && frame[12...13] == [0x86, 0xdd] && frame[20] == 58
        && frame[54] == 2
    }
  }
}
