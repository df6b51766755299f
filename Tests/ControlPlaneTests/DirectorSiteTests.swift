// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import ControlPlane

/// A whole configuration at once.
@Suite struct DirectorSiteTests {
  private func site(
    _ numbers: [Int], scheduler: Scheduler = .rr, more: [String] = []
  ) -> SiteConfiguration {
    var site = SiteConfiguration(ports: [PortConfiguration(interface: "lan0")])
    let others = more.map {
      RealServerConfiguration(address: IPAddress($0)!, port: Port(80))
    }
    site.tables = [
      .init(
        service: ServiceConfiguration(key: .web, scheduler: scheduler),
        realServers: numbers.map { .number($0) } + others)
    ]
    return site
  }

  private func addresses(_ desk: Desk) async throws -> [String] {
    try await desk.web().realServers.map(\.configuration.address.description)
  }

  @Test func itIsWhatTheCommandsWouldHaveMade() async throws {
    let desk = try Desk()
    try await desk.director.apply(site([1, 2, 3]))
    try await desk.director.settle()
    #expect(
      try await addresses(desk) == ["192.168.1.153", "192.168.1.152", "192.168.1.151"])
    #expect(desk.plane.opened == [.web])
    #expect(desk.destination(syn(1)) == .realServer(3))
  }

  @Test func whatIsTheSameIsNotTouched() async throws {
    let desk = try Desk()
    try await desk.director.apply(site([1, 2]))
    try await desk.director.settle()
    let destination = desk.destination(syn(1))
    try await desk.director.apply(site([1, 2]))
    try await desk.director.settle()
    #expect(desk.plane.generations.count == 1)
    try await desk.director.apply(site([1, 2, 3], scheduler: .wrr))
    try await desk.director.settle()
    #expect(desk.destination(ack(1)) == destination)
    #expect(try await desk.web().configuration.scheduler == .wrr)
  }

  @Test func whatIsNotInItGoes() async throws {
    let desk = try Desk()
    try await desk.director.apply(site([1, 2]))
    try await desk.director.apply(site([2]))
    #expect(try await addresses(desk) == ["192.168.1.152"])
    #expect(desk.neighbors.followed == [IPAddress("192.168.1.152")!])
    try await desk.director.apply(SiteConfiguration(ports: [PortConfiguration(interface: "lan0")]))
    try await desk.director.settle()
    #expect(await desk.director.serviceStatuses().isEmpty)
    #expect(desk.plane.opened.isEmpty)
    #expect(desk.neighbors.followed.isEmpty)
  }

  /// What is loaded first is one line of the log, however much it is; what comes later has its own.
  @Test func theFirstLoadIsOneLine() async throws {
    let book = LogBook()
    let desk = try Desk(logger: book.logger)
    var first = site([1, 2])
    first.tables[0].health.sorryServer = IPAddress("192.168.1.159")!
    first.marks = [.init(mark: FirewallMark(rawValue: 1), match: [VirtualPorts(of: .dns)])]
    try await desk.director.apply(first)
    #expect(book.lines == ["services loaded real-servers=2 services=1"])
    first.tables[0].realServers.append(.number(3))
    try await desk.director.apply(first)
    #expect(book.lines.count == 2)
    #expect(book.lines.last?.hasPrefix("real server added address=192.168.1.153 ") == true)
  }

  /// Two addresses behind a gateway: both are named, nothing else happens.
  @Test func aBadOneChangesNothing() async throws {
    let desk = try Desk()
    try await desk.director.apply(site([1]))
    try await desk.director.settle()
    var bad = site([2, 3], scheduler: .sh, more: ["10.9.9.1", "10.9.9.2"])
    bad.timeouts.udp = 7
    let parts: [ConfiguredPart] = [
      .everything, .services, .service(.web), .realServer(IPAddress("192.168.1.151")!, .web),
      .timeouts, .marks, .drains,
    ]
    var before: [Int?] = []
    for part in parts { before.append(await desk.director.revision(of: part)) }
    do {
      try await desk.director.apply(bad)
      Issue.record("it was taken")
    } catch {
      let gateway = IPAddress("192.168.1.1")!
      #expect(
        error.errors == [
          .behindGateway(IPAddress("10.9.9.1")!, gateway: gateway),
          .behindGateway(IPAddress("10.9.9.2")!, gateway: gateway),
        ])
    }
    #expect(try await addresses(desk) == ["192.168.1.151"])
    #expect(try await desk.web().configuration.scheduler == .rr)
    #expect(await desk.director.timeouts == .lvs)
    #expect(desk.neighbors.followed == [IPAddress("192.168.1.151")!])
    // Nor is a tag another, or a table for the workers.
    for (part, before) in zip(parts, before) {
      #expect(await desk.director.revision(of: part) == before, "\(part)")
    }
    try await desk.director.settle()
    #expect(desk.plane.generations == [1])
    try await desk.director.addRealServer(.number(2), to: .web)
    try await desk.director.settle()
    #expect(desk.destination(syn(9)) == .realServer(2))
  }
}
