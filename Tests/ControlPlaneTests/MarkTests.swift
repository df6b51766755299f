// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc
import TestSupport
import Testing

@testable import ControlPlane

/// What marks stand for, with services and without.
@Suite struct MarkTests {
  private static let mark = FirewallMark(rawValue: 1)
  private static let key = VirtualServiceKey(mark: mark, isIPv6: false)

  private static func ports(
    _ first: UInt16, _ last: UInt16, _ address: String = "192.168.1.149"
  ) -> VirtualPorts {
    VirtualPorts(
      address: IPAddress(address)!, ipProtocol: .tcp, ports: Port(first)...Port(last))
  }

  @Test func itsServiceTakesWhatItStandsFor() async throws {
    let desk = try Desk()
    let director = desk.director
    try await director.addToMark(Self.mark, Self.ports(80, 90))
    try await director.settle()
    #expect(desk.plane.opened.isEmpty, "no service yet")
    try await director.addService(.init(key: Self.key, scheduler: .rr))
    let server = RealServerConfiguration(address: IPAddress("192.168.1.151")!, port: Port(8000))
    try await director.addRealServer(server, to: Self.key)
    try await director.addToMark(Self.mark, Self.ports(80, 80, "2001:db8::149"))
    try await director.settle()
    #expect(desk.plane.opened == [Self.ports(80, 90)], "IPv6 is another service's")
    #expect(desk.destination(syn(1)) == .realServer(1))
    let listed = try await director.connectionListing().page(limit: 10).connections
    #expect(listed.map(\.virtual) == [.web] && listed.map(\.realServerPort) == [Port(8000)])
    try await director.removeFromMark(Self.mark, Self.ports(80, 90))
    try await director.settle()
    #expect(desk.plane.opened.isEmpty)
    let rest = try await director.connectionListing().page(limit: 10).connections
    #expect(rest.map(\.virtual) == [.web])
  }

  @Test func whatIsRefusedChangesNothing() async throws {
    let desk = try Desk()
    let director = desk.director
    try await director.addToMark(Self.mark, Self.ports(80, 90))
    let other = FirewallMark(rawValue: 2)
    let cases: [(DirectorError, Int32, FirewallMark, VirtualPorts)] = [
      (
        .portsOverlap(Self.ports(90, 95), Self.ports(80, 90), Self.mark), EEXIST, other,
        Self.ports(90, 95)
      ),
      (
        .portsOverlap(Self.ports(80, 90), Self.ports(80, 90), Self.mark), EEXIST, Self.mark,
        Self.ports(80, 90)
      ),
      (.markZero, EINVAL, FirewallMark(rawValue: 0), Self.ports(1, 1)),
      (.notUnicast(IPAddress("224.0.0.1")!), EINVAL, other, Self.ports(1, 1, "224.0.0.1")),
    ]
    for (error, code, mark, ports) in cases {
      await refuses(error, code) { try await director.addToMark(mark, ports) }
    }
    await refuses(.noSuchPorts(Self.ports(80, 80), Self.mark), ENOENT) {
      try await director.removeFromMark(Self.mark, Self.ports(80, 80))
    }
    #expect(await director.marks == [Self.mark: [Self.ports(80, 90)]])
    #expect(
      cases[0].0.description
        == "TCP 192.168.1.149:90-95 overlaps TCP 192.168.1.149:80-90, which is in mark 1: "
        + "remove that first")
  }

  /// Connections name VIPs by number, so a number means one VIP for good.
  @Test func numbersAreGivenOutOnce() {
    var group = MarkGroup()
    #expect(group.add(Self.ports(1, 1)) && group.add(Self.ports(1, 1, "192.168.1.148")))
    group.ports.removeAll()
    #expect(group.add(Self.ports(2, 2, "192.168.1.147")) && group.add(Self.ports(3, 3)))
    #expect(group.marked(for: Self.key).map(\.vip) == [2, 0])
    #expect(
      group.target(of: 1)?.address == IPAddress("192.168.1.148") && group.target(of: 3) == nil)
  }

  @Test func theFileSaysIt() async throws {
    let yaml = """
      interface: {name: lan0}
      marks:
      - mark: 1
        match:
        - {vip: 192.168.1.149, protocol: tcp, ports: 80-90}
        - {vip: 192.168.1.148, protocol: udp, ports: 0}
      services:
      - mark: 1
        scheduler: rr
        real-servers: [{address: 192.168.1.151}]
      - {mark: 1, ip-version: 6}
      """
    let site = try SiteConfiguration(yaml: yaml)
    #expect(try SiteConfiguration(yaml: site.yaml) == site)
    let desk = try Desk()
    try await desk.director.apply(site)
    try await desk.director.settle()
    #expect(
      desk.plane.opened.map(\.description).sorted() == [
        "TCP 192.168.1.149:80-90", "UDP 192.168.1.148:0",
      ])
    var less = site
    less.marks[0].match.removeLast()
    #expect(less.changes(from: site).map(\.object) == [.mark(Self.mark)])
    try await desk.director.apply(less)
    #expect(await desk.director.marks == [Self.mark: [Self.ports(80, 90)]])
  }

  @Test func theFilesOverlapsAreNamed() {
    let yaml = """
      interface: {name: lan0}
      marks:
      - mark: 1
        match: [{vip: 192.168.1.149, protocol: tcp, ports: 80-90}]
      - mark: 2
        match:
        - {vip: 192.168.1.149, protocol: tcp, ports: 85}
      - mark: 1
      - mark: 0
      """
    let lines: [String]
    do {
      _ = try SiteConfiguration(yaml: yaml)
      lines = []
    } catch {
      lines = error.findings.map(\.description)
    }
    #expect(lines.count == 3, "\(lines)")
    #expect(lines.first?.contains("overlaps TCP 192.168.1.149:80-90, which is in mark 1") == true)
  }
}
