// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

@testable import DataPlane

/// Persistent services in virtual time: `ip_vs_sched_persist` and the templates' lives.
@Suite struct PersistenceTests {
  private static let vip = "192.168.1.149"

  /// Web over IPv4 with real servers 2 and 1, over IPv6 with 4 and 3, DNS with 6 and 5, by turns.
  private static func site(
    timeout: UInt32 = 300, mask: String? = nil,
    _ change: (inout SnapshotSpecification) -> Void = { _ in }
  ) -> SnapshotSpecification {
    var specification = SnapshotSpecification.site()
    for place in specification.services.indices {
      let isIPv6 = specification.services[place].key == .webIPv6
      let mask = mask.flatMap(IPAddress.init).flatMap { mask in
        if case .v6 = mask { isIPv6 ? mask : nil } else { isIPv6 ? nil : mask }
      }
      specification.services[place].persistence = Persistence(timeoutSeconds: timeout, mask: mask)
    }
    change(&specification)
    return specification
  }

  private static func syn(_ client: String, _ port: UInt16, to: String = vip) -> PacketBuilder {
    PacketBuilder(from: client, to: to).with { $0.sourcePort = Port(port) }
  }

  /// Which real server the frame went to, by the last octet of its MAC address; nil if dropped.
  private func server(_ desk: ForwarderDesk, _ packet: PacketBuilder) -> UInt8? {
    let (verdict, frame) = desk.forward(packet)
    return verdict.isForward ? frame[5] : nil
  }

  @Test(arguments: [("10.0.0.9", vip), ("2001:db8:1::9", "2001:db8::149")])
  func aClientKeepsItsRealServerAndOthersAreScheduled(client: String, vip: String) throws {
    let desk = try ForwarderDesk()
    try desk.adopt(Self.site())
    let first = try #require(server(desk, Self.syn(client, 1, to: vip)))
    for port in UInt16(2)...20 { #expect(server(desk, Self.syn(client, port, to: vip)) == first) }
    let other = server(desk, Self.syn(client + "9", 1, to: vip))
    #expect(other != nil && other != first)
  }

  @Test func servicesOfOneClientAreApart() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(Self.site())
    #expect(server(desk, Self.syn("10.0.0.9", 1)).map { $0 <= 2 } == true)
    let query = Self.syn("10.0.0.9", 1).with {
      $0.ipProtocol = .udp
      $0.destinationPort = Port(53)
    }
    let first = server(desk, query)
    #expect(first == 5 || first == 6)
    #expect(server(desk, query.with { $0.sourcePort = Port(2) }) == first)
  }

  @Test func aTemplateLastsItsTimeoutAfterTheLastNewConnection() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(Self.site(timeout: 300))
    let first = server(desk, Self.syn("10.0.0.9", 1))
    desk.advance(seconds: 299)
    #expect(server(desk, Self.syn("10.0.0.9", 2)) == first)
    desk.advance(seconds: 299)
    #expect(server(desk, Self.syn("10.0.0.9", 3)) == first)
    desk.advance(seconds: 301)
    #expect(server(desk, Self.syn("10.0.0.9", 4)) != first)
  }

  /// `ip_vs_conn_expire`: a template that controls connections is not let go.
  @Test(arguments: [("10.0.0.9", vip), ("2001:db8:1::9", "2001:db8::149")])
  func aTemplateLastsWhileItsConnectionDoes(client: String, vip: String) throws {
    let desk = try ForwarderDesk()
    try desk.adopt(Self.site(timeout: 60))
    let syn = Self.syn(client, 1, to: vip)
    let first = server(desk, syn)
    func pass(seconds: Int) {
      for _ in 0..<seconds {
        desk.advance(seconds: 1)
        desk.forwarder.sweep(now: desk.now)
      }
    }
    pass(seconds: 30)
    #expect(server(desk, syn.with { $0.tcpFlags = .ack }) == first)
    pass(seconds: 400)
    #expect(server(desk, Self.syn(client, 2, to: vip)) == first)
    // The first connection is ESTABLISHED for 900 s, the second one SYN_RECV for 60.
    pass(seconds: 600 + 60 + 16)
    #expect(server(desk, Self.syn(client, 3, to: vip)) != first)
  }

  @Test func theMaskJoinsClients() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(Self.site(mask: "255.255.255.0"))
    let first = server(desk, Self.syn("10.0.0.9", 1))
    for host in 10...20 { #expect(server(desk, Self.syn("10.0.0.\(host)", 1)) == first) }
    #expect(server(desk, Self.syn("10.0.1.9", 1)) != first)
    try desk.adopt(Self.site(mask: "ffff:ffff:ffff:ffff::"))
    let vip = "2001:db8::149"
    let firstOfNet = server(desk, Self.syn("2001:db8:1::9", 1, to: vip))
    #expect(server(desk, Self.syn("2001:db8:1:0:7::", 1, to: vip)) == firstOfNet)
    #expect(server(desk, Self.syn("2001:db8:1:1::9", 1, to: vip)) != firstOfNet)
  }

  /// `expire_quiescent_template`: a client leaves a real server that is quiesced, for good.
  @Test func aQuiescedRealServersClientsMayMove() throws {
    let desk = try ForwarderDesk()
    func adopt(weight: UInt32, _ policy: ServicePolicy.QuiescentClients) throws {
      try desk.adopt(
        Self.site {
          $0.services[0].policy.quiescentClients = policy
          $0.services[0].realServers[0].weight = weight
        })
    }
    try adopt(weight: 1, .move)
    #expect(server(desk, Self.syn("10.0.0.9", 1)) == 2)
    try adopt(weight: 0, .keep)
    #expect(server(desk, Self.syn("10.0.0.9", 2)) == 2)
    try adopt(weight: 0, .move)
    #expect(server(desk, Self.syn("10.0.0.9", 3)) == 1)
    #expect(server(desk, Self.syn("10.0.0.9", 1).with { $0.tcpFlags = .ack }) == 2)
    try adopt(weight: 1, .move)
    #expect(server(desk, Self.syn("10.0.0.9", 4)) == 1)
  }

  /// Quiesced and overloaded real servers keep their clients, removed and silent ones do not.
  @Test func whatEndsATemplate() throws {
    let desk = try ForwarderDesk()
    func list(_ change: @escaping (inout SnapshotSpecification.RealServer) -> Void) throws {
      try desk.adopt(
        Self.site { specification in
          for place in specification.services[0].realServers.indices
          where specification.services[0].realServers[place].index.rawValue == 2 {
            change(&specification.services[0].realServers[place])
          }
        })
    }
    try list { _ in }
    #expect(server(desk, Self.syn("10.0.0.9", 1)) == 2)
    try list { $0.weight = 0 }
    #expect(server(desk, Self.syn("10.0.0.9", 2)) == 2)
    try list { $0.upperThreshold = 1 }
    #expect(server(desk, Self.syn("10.0.0.9", 3)) == 2)
    #expect(server(desk, Self.syn("10.0.0.8", 1)) == 1)
    try list { $0.isResolved = false }
    #expect(server(desk, Self.syn("10.0.0.9", 4)) == 1)
    try list { _ in }
    #expect(server(desk, Self.syn("10.0.0.9", 5)) == 1)
  }

  @Test func aRemovedRealServersClientsAreScheduledAnew() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(Self.site())
    #expect(server(desk, Self.syn("10.0.0.9", 1)) == 2)
    try desk.adopt(
      Self.site {
        $0.services[0].realServers.removeFirst()
        $0.retirements[RealServerIndex(rawValue: 2)] = .removed
      })
    #expect(server(desk, Self.syn("10.0.0.9", 2)) == 1)
    try desk.adopt(Self.site())
    #expect(server(desk, Self.syn("10.0.0.9", 3)) == 1)
  }

  private func listed(_ templates: Templates, _ now: Tick) -> [TemplateDescription] {
    var listed: [TemplateDescription] = []
    let end = templates.forEach(from: 0, to: .max, now: now) {
      listed.append($0)
      return true
    }
    #expect(end == templates.records)
    return listed
  }

  @Test func theServerOfAnEstablishedConnectionIsAssured() throws {
    let templates = try Templates(entries: 1 << 10)
    let desk = try ForwarderDesk(templates: templates)
    try desk.adopt(Self.site(mask: "255.255.255.0"))
    _ = desk.forward(Self.syn("10.0.0.9", 1))
    let expected = TemplateDescription(
      client: IPAddress("10.0.0.0")!, realServer: RealServerIndex(rawValue: 2), isAssured: false,
      remainingMilliseconds: 300_000)
    #expect(listed(templates, desk.now) == [expected])
    _ = desk.forward(Self.syn("10.0.0.9", 1).with { $0.tcpFlags = .ack })
    #expect(listed(templates, desk.now).map(\.isAssured) == [true])
    #expect(templates.counts(now: desk.now) == [RealServerIndex(rawValue: 2): 1])
    desk.advance(seconds: 301)
    #expect(templates.counts(now: desk.now).isEmpty)
  }

  /// A bucket holds eight: the ninth client is forwarded and counted, and keeps no real server.
  @Test func aFullTableIsCountedAndForwardingGoesOn() throws {
    let desk = try ForwarderDesk(templates: Templates(entries: 8))
    try desk.adopt(Self.site())
    for host in 1...8 { #expect(server(desk, Self.syn("10.0.0.\(host)", 1)) != nil) }
    #expect(desk.view.count(of: .unpersisted) == 0)
    let ninth = [1, 2].map { server(desk, Self.syn("10.0.0.9", $0)) }
    #expect(ninth[0] != nil && ninth[1] != nil && ninth[0] != ninth[1])
    #expect(desk.view.count(of: .unpersisted) == 2)
    desk.advance(seconds: 301)
    desk.sweepAll()
    let again = [3, 4].map { server(desk, Self.syn("10.0.0.9", $0)) }
    #expect(again[0] != nil && again[0] == again[1])
  }

  /// With every line of connections full, a client's packets follow its template.
  @Test func aFullConnectionTableKeepsClientsTogether() throws {
    let desk = try ForwarderDesk(entries: 8, templates: Templates(entries: 1 << 10))
    try desk.adopt(Self.site())
    for port in UInt16(1)...40 { _ = desk.forward(Self.syn("10.0.0.1", port)) }
    for host in 2...20 {
      let servers = Set((1...5).map { server(desk, Self.syn("10.0.0.\(host)", $0)) })
      #expect(servers.count == 1 && servers.first! != nil)
    }
    #expect(desk.view.unrecorded > 0)
  }

  /// Any clients, masks and ports over any workers: one client, one real server.
  @Test(arguments: 1...20)
  func oneClientHasOneRealServerOverAllWorkers(seed: UInt64) throws {
    var generator = Seed(seed)
    let templates = try Templates(entries: 1 << 12)
    let desks = try (0..<4).map {
      try ForwarderDesk(templates: templates, sweepsTemplates: $0 == 0)
    }
    for desk in desks { desk.forwarder.join(desks.filter { $0 !== desk }.map(\.view)) }
    let mask = UInt32.random(in: 0...UInt32.max, using: &generator)
    let site = Self.site(mask: IPv4Address(rawValue: mask).description)
    for desk in desks { try desk.adopt(site) }
    var servers: [UInt32: UInt8] = [:]
    for _ in 0..<400 {
      let host = UInt32.random(in: 1...40, using: &generator) &* 0x0101_0101
      let client = IPv4Address(rawValue: 0x0a00_0000 | host & 0x00ff_ffff)
      let desk = desks.randomElement(using: &generator)!
      let port = UInt16.random(in: 1...UInt16.max, using: &generator)
      let chosen = try #require(server(desk, Self.syn("\(client)", port)), "seed \(seed)")
      let known = servers.updateValue(chosen, forKey: client.rawValue & mask)
      #expect(known == nil || known == chosen, "seed \(seed), client \(client), mask \(mask)")
    }
  }
}
