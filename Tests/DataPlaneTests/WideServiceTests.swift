// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

@testable import DataPlane

/// Services of all ports (port 0): `ip_vs_service_find` and `ip_vs_sched_persist` of the kernel.
@Suite struct WideServiceTests {
  private static let vip = "192.168.1.149"
  private static let vip6 = "2001:db8::149"
  private static let families = [("10.0.0.9", vip), ("2001:db8:1::9", vip6)]

  /// All TCP ports over IPv4 (real servers 2, 1) and IPv6 (4, 3), DNS (6, 5), HTTPS alone (8, 7).
  private static func site(
    scheduler: Scheduler = .rr, _ change: (inout SnapshotSpecification) -> Void = { _ in }
  ) -> SnapshotSpecification {
    var specification = SnapshotSpecification.site(scheduler: scheduler)
    for place in 0...1 {
      specification.services[place].key.port = Port(0)
      specification.services[place].persistence = Persistence(timeoutSeconds: 300)
    }
    var https = VirtualServiceKey.web
    https.port = Port(443)
    specification.services.append(
      SnapshotSpecification.Service(
        index: ServiceIndex(rawValue: 4), key: https, scheduler: scheduler, revision: 1,
        realServers: [.number(8), .number(7)]))
    change(&specification)
    return specification
  }

  private func desk(_ site: SnapshotSpecification = site()) throws -> ForwarderDesk {
    let desk = try ForwarderDesk()
    try desk.adopt(site)
    return desk
  }

  private static func syn(
    _ client: String, to vip: String, _ port: UInt16, from clientPort: UInt16 = 40000
  ) -> PacketBuilder {
    PacketBuilder(from: client, to: vip).with {
      $0.destinationPort = Port(port)
      $0.sourcePort = Port(clientPort)
    }
  }

  /// Which real server a frame went to, by the last octet of its MAC address; nil if dropped.
  private func server(_ desk: ForwarderDesk, _ packet: PacketBuilder) -> UInt8? {
    let (verdict, frame) = desk.forward(packet)
    return verdict.isForward ? frame[5] : nil
  }

  @Test(arguments: families) func aClientHasOneRealServerOnAllPorts(
    client: String, vip: String
  ) throws {
    let desk = try desk()
    let ports: [UInt16] = [80, 1, 22, 8080, .max, 0]
    let first = try #require(server(desk, Self.syn(client, to: vip, 80)))
    for port in ports { #expect(server(desk, Self.syn(client, to: vip, port)) == first, "\(port)") }
    let other = server(desk, Self.syn(client + "9", to: vip, 80))
    #expect(other != nil && other != first)
    #expect(desk.view.ipv6Connections == UInt64(ports.count + 1) && desk.view.ipv4Connections == 0)
  }

  /// One client port to several ports is several connections, each with its state.
  @Test(arguments: families) func connectionsToDifferentPortsAreApart(
    client: String, vip: String
  ) throws {
    let desk = try desk()
    for port in UInt16(80)...82 { _ = desk.forward(Self.syn(client, to: vip, port)) }
    _ = desk.forward(Self.syn(client, to: vip, 81).with { $0.tcpFlags = .ack })
    let listed = desk.connections
    #expect(
      Set(listed.map { "\($0.client) \($0.destinationPort.rawValue) \($0.state)" })
        == ["\(client) 80 synReceived", "\(client) 81 established", "\(client) 82 synReceived"])
    #expect(listed.allSatisfy { $0.clientPort == Port(40000) && $0.vip == 0 })
    let unknown = Self.syn(client, to: vip, 83).with { $0.tcpFlags = .ack }
    #expect(desk.forward(unknown).verdict.dropReason == .noConnection)
  }

  /// A service of one port comes first, as in LVS; other protocols and VIPs are nobody's.
  @Test func whatIsTaken() throws {
    let desk = try desk()
    #expect(server(desk, Self.syn("10.0.0.9", to: Self.vip, 443)).map { $0 >= 7 } == true)
    let query = Self.syn("10.0.0.9", to: Self.vip, 53).with { $0.ipProtocol = .udp }
    #expect(server(desk, query) == 6)
    let other = query.with { $0.destinationPort = Port(54) }
    #expect(desk.forward(other).verdict == .drop(.noService))
    for vip in ["192.168.1.148", "192.168.1.150", "255.255.255.255", "0.0.0.0"] {
      #expect(desk.forward(Self.syn("10.0.0.9", to: vip, 80)).verdict == .drop(.noService))
    }
    let mapped = PacketBuilder(from: "2001:db8:1::9", to: "::ffff:192.168.1.149")
    #expect(desk.forward(mapped).verdict.isForward, "no wire carries it, and it harms none")
    #expect(desk.view.drops(.noService) == 5)
  }

  /// Packets of both kinds of service in one batch, out of which the wide ones join IPv6's.
  @Test func batchesMix() throws {
    let desk = try desk()
    let kinds = [
      Self.syn("10.0.0.9", to: Self.vip, 8080), Self.syn("10.0.0.9", to: Self.vip, 443),
      Self.syn("2001:db8:1::9", to: Self.vip6, 8080), Self.syn("10.0.0.9", to: "10.0.0.1", 80),
    ]
    let packets = (0..<64).map { place in
      kinds[place % 4].with { $0.sourcePort = Port(UInt16(place + 1)) }
    }
    for _ in 0..<2 {
      let results = desk.forward(packets.map(\.frame))
      for (place, result) in results.enumerated() {
        let expected: [ClosedRange<UInt8>?] = [1...2, 7...8, 3...4, nil]
        let server = result.verdict.isForward ? result.frame[5] : nil
        #expect(server.map { expected[place % 4]?.contains($0) == true } ?? (place % 4 == 3))
      }
    }
    #expect(desk.view.ipv4Connections == 16 && desk.view.ipv6Connections == 32)
    let total = (1...8).reduce(UInt64(0)) {
      $0 + desk.view.statistics(of: RealServerIndex(rawValue: UInt16($1))).packets
    }
    #expect(total == 96)
  }

  @Test func onlyTheMACAddressesChange() throws {
    let desk = try desk()
    let tagged = Self.syn("10.0.0.9", to: Self.vip, 8080).with {
      $0.vlanTags = [(.vlan, 5)]
      $0.options = [1, 1, 1, 1]
    }
    let result = desk.forward(tagged)
    #expect(result.frame[..<6] == MACAddress.realServer(2).octets[...])
    #expect(result.frame[12...] == tagged.frame[12...])
  }

  @Test(arguments: families) func anICMPErrorFindsItsConnection(client: String, vip: String) throws
  {
    let (owner, other) = (try desk(), try desk())
    other.forwarder.join([owner.view])
    let packet = Self.syn(client, to: vip, 8080)
    let first = try #require(server(owner, packet))
    let isIPv6 = vip == Self.vip6
    func error(_ packet: PacketBuilder) -> PacketBuilder {
      packet.answer.icmpError(
        from: isIPv6 ? "2001:db8:9::1" : "172.16.0.9", type: isIPv6 ? 2 : 3,
        code: isIPv6 ? 0 : 4, word: 1280)
    }
    for desk in [owner, other] { #expect(server(desk, error(packet)) == first) }
    let unknown = error(packet.with { $0.destinationPort = Port(8081) })
    #expect(owner.forward(unknown).verdict == .drop(.icmpUnmatched))
  }

  @Test func fragmentsFollowTheFirst() throws {
    let desk = try desk(
      Self.site {
        $0.services[2].key.port = Port(0)
        $0.services[2].persistence = Persistence(timeoutSeconds: 300)
      })
    for packet in [
      FragmentTests.dns.with { $0.destinationPort = Port(5353) },
      FragmentTests.webIPv6.with { $0.destinationPort = Port(5353) },
    ] {
      let frames = packet.fragments(of: 1480, identification: 9)
      let servers = desk.forward(frames).map { $0.verdict.isForward ? $0.frame[5] : 0 }
      #expect(servers[0] != 0 && Set(servers).count == 1)
    }
    #expect(desk.view.count(of: .firstFragment) == 2)
    #expect(desk.view.ipv4Connections == 0 && desk.view.ipv6Connections == 2)
  }

  /// A client's choice by hash is the same whatever table its connection is in.
  @Test(arguments: [Scheduler.sh, .mh]) func hashingSchedulersSeeTheSameClient(
    scheduler: Scheduler
  ) throws {
    func site(_ isWide: Bool) -> SnapshotSpecification {
      var site = Self.site(scheduler: scheduler)
      site.services.removeSubrange(1...)
      site.services[0].realServers = (1...9).map { .number($0) }
      site.services[0].persistence = isWide ? Persistence(timeoutSeconds: 300) : nil
      site.services[0].key.port = isWide ? Port(0) : Port(80)
      return site
    }
    let (wide, narrow) = (try desk(site(true)), try desk(site(false)))
    // `mh` hashes the service's port when it fills its table: there each has its own.
    let others = try desk(site(true))
    for host in 1...100 {
      let packet = Self.syn("10.0.0.\(host)", to: Self.vip, 80)
      let chosen = server(wide, packet)
      #expect(chosen == server(scheduler == .sh ? narrow : others, packet))
    }
  }

  /// Records of a wide service are swept, and their clients kept while they live, like others'.
  @Test func recordsExpireAndAreListedNoMore() throws {
    let desk = try desk()
    let first = server(desk, Self.syn("10.0.0.9", to: Self.vip, 80))
    desk.advance(seconds: 61)
    desk.sweepAll()
    #expect(desk.view.ipv6Connections == 0 && desk.view.expired == 1)
    #expect(server(desk, Self.syn("10.0.0.9", to: Self.vip, 8080)) == first)
    try desk.adopt(
      Self.site {
        $0.services[0].realServers.removeAll { $0.index.rawValue == UInt16(first!) }
        $0.retirements[RealServerIndex(rawValue: UInt16(first!))] = .removed
      })
    let other = server(desk, Self.syn("10.0.0.9", to: Self.vip, 8080))
    #expect(other != nil && other != first)
  }

  @Test func aFullTableForwardsByTheTemplate() throws {
    let desk = try ForwarderDesk(entries: 8, templates: Templates(entries: 1 << 10))
    try desk.adopt(Self.site())
    let servers = (UInt16(1)...60).map { server(desk, Self.syn("10.0.0.9", to: Self.vip, $0)) }
    #expect(Set(servers).count == 1 && servers[0] != nil)
    #expect(desk.view.unrecorded > 0)
  }

  @Test func noRealServerIsSaid() throws {
    let desk = try desk(Self.site { $0.services[0].realServers = [] })
    let result = desk.forward(Self.syn("10.0.0.9", to: Self.vip, 8080))
    #expect(result.verdict.answerBytes > 0 && result.verdict.dropReason == .noRealServer)
    #expect(desk.view.count(of: .portUnreachable) == 1)
  }

  /// The binary search against a look at every entry, over random tables.
  @Test(arguments: 1...30) func lookUpFindsWhatAScanFinds(seed: UInt64) throws {
    var generator = Seed(seed)
    let addresses = ["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2"].map { IPAddress($0)! }
    var entries: [WidePorts] = []
    for address in addresses {
      for ipProtocol in [IPProtocol.tcp, .udp] where Bool.random(using: &generator) {
        let bounds = Set((0..<8).map { _ in UInt16.random(in: 0...40, using: &generator) }).sorted()
        for place in stride(from: 1, to: bounds.count, by: 2) {
          entries.append(
            WidePorts(
              VirtualPorts(
                address: address, ipProtocol: ipProtocol,
                ports: Port(bounds[place - 1])...Port(bounds[place])),
              service: ServiceIndex(rawValue: UInt16(entries.count + 1)), vip: 0))
        }
      }
    }
    entries.sort {
      ($0.high, $0.low, $0.ipProtocol, $0.first) < ($1.high, $1.low, $1.ipProtocol, $1.first)
    }
    let memory = UnsafeMutablePointer<WidePorts>.allocate(capacity: max(1, entries.count))
    defer { memory.deallocate() }
    memory.initialize(from: entries, count: entries.count)
    let table = WideServiceTable(entries: memory, count: entries.count)
    for address in addresses {
      for ipProtocol in [IPProtocol.icmp, .tcp, .udp, .icmpv6] {
        for port in UInt16(0)...42 {
          let (high, low) = address.words
          let fields = IPv6Fields(
            sourceHigh: 0, sourceLow: 0, destinationHigh: high, destinationLow: low,
            transport: TransportFields(
              sourcePort: 1, destinationPort: port, ipProtocol: ipProtocol.rawValue,
              event: .datagram, ipBytes: 60))
          let expected = entries.first {
            $0.high == high && $0.low == low && $0.ipProtocol == ipProtocol.rawValue
              && ($0.first...$0.last).contains(port)
          }
          #expect(table.lookUp(fields)?.service == expected?.service, "seed \(seed)")
        }
      }
    }
  }

  @Test func anEntryIs32Octets() { #expect(MemoryLayout<WidePorts>.stride == 32) }
}
