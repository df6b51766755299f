// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

@testable import DataPlane

/// Services of firewall marks: whatever VIPs and ports they stand for.
@Suite struct MarkTests {
  private static func ports(
    _ address: String, _ first: UInt16, _ last: UInt16, _ ipProtocol: IPProtocol = .tcp
  ) -> VirtualPorts {
    VirtualPorts(
      address: IPAddress(address)!, ipProtocol: ipProtocol, ports: Port(first)...Port(last))
  }

  private static func marked(_ ports: VirtualPorts, _ vip: UInt16)
    -> SnapshotSpecification.MarkedPorts
  {
    SnapshotSpecification.MarkedPorts(ports: ports, vip: vip)
  }

  /// Mark 1 over IPv4 (real servers 2, 1): ports 80 to 90 of .149, 53 by TCP and UDP of .148. Over
  /// IPv6 (4, 3): port 80. All other TCP ports of .149 (6, 5), and its port 85 alone (8, 7).
  private static func site(
    scheduler: Scheduler = .rr, _ change: (inout SnapshotSpecification) -> Void = { _ in }
  ) -> SnapshotSpecification {
    let mark = FirewallMark(rawValue: 1)
    var services: [SnapshotSpecification.Service] = []
    func add(
      _ key: VirtualServiceKey, _ marked: [SnapshotSpecification.MarkedPorts] = [],
      _ persistence: Persistence? = nil
    ) {
      let first = UInt8(services.count * 2 + 1)
      services.append(
        SnapshotSpecification.Service(
          index: ServiceIndex(rawValue: UInt16(services.count + 1)), key: key, marked: marked,
          scheduler: scheduler, persistence: persistence, revision: 1,
          realServers: [.number(first + 1), .number(first)]))
    }
    add(
      VirtualServiceKey(mark: mark, isIPv6: false),
      [
        marked(ports("192.168.1.149", 80, 90), 0), marked(ports("192.168.1.148", 53, 53), 1),
        marked(ports("192.168.1.148", 53, 53, .udp), 2),
      ])
    add(
      VirtualServiceKey(mark: mark, isIPv6: true), [marked(ports("2001:db8::149", 80, 80), 0)])
    add(VirtualServiceKey.web.onAllPorts, [], Persistence(timeoutSeconds: 300))
    var single = VirtualServiceKey.web
    single.port = Port(85)
    add(single)
    var specification = SnapshotSpecification(services: services, egressMACAddresses: [.director])
    change(&specification)
    return specification
  }

  private func desk(_ site: SnapshotSpecification = site()) throws -> ForwarderDesk {
    let desk = try ForwarderDesk()
    try desk.adopt(site)
    return desk
  }

  private static func packet(
    _ vip: String, _ port: UInt16, _ ipProtocol: IPProtocol = .tcp, from clientPort: UInt16 = 9
  ) -> PacketBuilder {
    PacketBuilder(from: vip.contains(":") ? "2001:db8:1::9" : "10.0.0.9", to: vip).with {
      $0.ipProtocol = ipProtocol
      $0.destinationPort = Port(port)
      $0.sourcePort = Port(clientPort)
    }
  }

  private func server(_ desk: ForwarderDesk, _ packet: PacketBuilder) -> UInt8? {
    let (verdict, frame) = desk.forward(packet)
    return verdict.isForward ? frame[5] : nil
  }

  /// `ip_vs_service_find`: a mark goes first, even before a service of one port.
  @Test(
    arguments: [
      ("192.168.1.149", UInt16(80), 1...2), ("192.168.1.149", 85, 1...2),
      ("192.168.1.149", 90, 1...2), ("192.168.1.149", 79, 5...6), ("192.168.1.149", 91, 5...6),
      ("192.168.1.149", 1, 5...6), ("192.168.1.149", 65535, 5...6), ("192.168.1.148", 53, 1...2),
      ("2001:db8::149", 80, 3...4),
    ] as [(String, UInt16, ClosedRange<UInt8>)])
  func whoseItIs(vip: String, port: UInt16, servers: ClosedRange<UInt8>) throws {
    let server = server(try desk(), Self.packet(vip, port))
    #expect(server.map(servers.contains) == true)
  }

  @Test(arguments: [("192.168.1.148", UInt16(54)), ("192.168.1.147", 80), ("2001:db8::149", 81)])
  func whatIsNobodys(vip: String, port: UInt16) throws {
    #expect(try desk().forward(Self.packet(vip, port)).verdict == .drop(.noService))
  }

  /// Where the mark is gone, the service of one port is there again.
  @Test func aMarkThatStandsForLessGivesItBack() throws {
    let desk = try desk()
    try desk.adopt(Self.site { $0.services[0].marked.removeFirst() })
    #expect(server(desk, Self.packet("192.168.1.149", 85)).map { $0 >= 7 } == true)
    #expect(server(desk, Self.packet("192.168.1.149", 86)).map { (5...6).contains($0) } == true)
  }

  /// One client port to two VIPs, two protocols, two ports: as many connections.
  @Test func connectionsAreToldApart() throws {
    let desk = try desk()
    let packets = [
      Self.packet("192.168.1.149", 80), Self.packet("192.168.1.149", 81),
      Self.packet("192.168.1.148", 53), Self.packet("192.168.1.148", 53, .udp),
    ]
    let first = packets.map { server(desk, $0) }
    #expect(first == [2, 1, 2, 1] && packets.map { server(desk, $0) } == first)
    let listed = desk.connections
    #expect(
      Set(listed.map { "\($0.vip) \($0.destinationPort.rawValue)" })
        == ["0 80", "0 81", "1 53", "2 53"])
  }

  @Test func aPersistentClientHasOneRealServerOnAllOfIt() throws {
    let desk = try desk(Self.site { $0.services[0].persistence = Persistence(timeoutSeconds: 60) })
    let servers = [
      Self.packet("192.168.1.149", 80), Self.packet("192.168.1.148", 53),
      Self.packet("192.168.1.148", 53, .udp), Self.packet("192.168.1.149", 90),
    ].map { server(desk, $0) }
    #expect(servers == [2, 2, 2, 2])
  }

  /// One-packet scheduling of a mark is for its datagrams.
  @Test func oneByOneAreOnlyDatagrams() throws {
    let desk = try desk(Self.site { $0.services[0].isOnePacket = true })
    let query = Self.packet("192.168.1.148", 53, .udp)
    #expect((0..<4).map { _ in server(desk, query) } == [2, 1, 2, 1])
    #expect(desk.view.ipv6Connections == 0)
    let segment = Self.packet("192.168.1.148", 53)
    #expect(server(desk, segment) == 2 && server(desk, segment) == 2)
    #expect(desk.view.ipv6Connections == 1)
  }

  /// `dh` looks at the VIP: `hash_32(…, 8)` of the address modulo two.
  @Test func destinationsAreHashed() throws {
    let desk = try desk(Self.site(scheduler: .dh))
    for (vip, port) in [("192.168.1.149", UInt16(80)), ("192.168.1.148", 53)] {
      let slot = SchedulerTable.hash32(IPAddress(vip)!.folded) % 2
      for clientPort in UInt16(1)...5 {
        let chosen = server(desk, Self.packet(vip, port, from: clientPort))
        #expect(chosen == (slot == 0 ? 2 : 1))
      }
    }
  }

  @Test func overlapsAreADefect() throws {
    #expect(throws: SnapshotError.overlappingWideServices) {
      try Snapshot(
        Self.site {
          $0.services[1].marked.append(Self.marked(Self.ports("192.168.1.149", 90, 95), 1))
        }, generation: 1)
    }
  }

  @Test(
    arguments: [
      ("80", 80...80), ("80-90", 80...90), ("0", 0...65535), ("65535", 65535...65535), ("", nil),
      ("90-80", nil), ("0-5", nil), ("1-65536", nil), ("-1", nil), ("1-", nil), ("+1", nil),
      ("1-2-3", nil), ("80 ", nil),
    ] as [(String, ClosedRange<UInt16>?)])
  func portsAsText(text: String, expected: ClosedRange<UInt16>?) {
    let ports = ClosedRange<Port>(ports: text)
    #expect(ports == expected.map { Port($0.lowerBound)...Port($0.upperBound) })
    if let ports { #expect(ports.portText == text) }
  }
}
