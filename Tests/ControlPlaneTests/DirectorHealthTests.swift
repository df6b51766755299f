// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import ControlPlane

/// What the director does with checks' results.
@Suite struct DirectorHealthTests {
  private static func health(_ change: (inout ServiceHealth) -> Void = { _ in }) -> ServiceHealth {
    var health = ServiceHealth()
    health.checks = [HealthCheck(.tcp)]
    change(&health)
    return health
  }

  private func desk(
    _ health: ServiceHealth = health(), scheduler: Scheduler = .rr
  ) async throws -> (Desk, StatedChecks) {
    let checks = StatedChecks()
    let desk = try Desk(checks: checks)
    try await desk.addWeb(scheduler: scheduler)
    try await desk.director.setHealth(health, of: .web)
    try await desk.director.settle()
    return (desk, checks)
  }

  private func state(
    _ checks: StatedChecks, _ end: String, isUp: Bool, _ desk: Desk
  ) async throws {
    checks.state(end, isUp: isUp)
    await desk.director.publishSoon()
    try await desk.director.settle()
  }

  @Test func oneThatIsDownIsInhibited() async throws {
    let (desk, checks) = try await desk()
    #expect(checks.present.map { "\($0)" } == ["tcp 192.168.1.151:80", "tcp 192.168.1.152:80"])
    #expect((1...2).map { desk.destination(syn($0)) } == [.realServer(2), .realServer(1)])
    try await state(checks, ".151:80", isUp: false, desk)
    // No new connections; the one it has goes on.
    #expect((3...6).map { desk.destination(syn($0)) } == .init(repeating: .realServer(2), count: 4))
    #expect(desk.destination(ack(2)) == .realServer(1))
    let down = try #require(try await desk.web().realServers.last)
    #expect(down.configuration.weight == 1)
    #expect(down.standing == RealServerStanding(isUp: false, isMember: true, weight: 0, share: 0))
    // The operator's weight is what comes back, the one of now.
    var edited = RealServerConfiguration.number(1)
    edited.weight = 7
    try await desk.director.editRealServer(edited, of: .web)
    try await desk.director.settle()
    #expect(try await desk.web().realServers.last?.standing?.weight == 0)
    try await state(checks, ".151:80", isUp: true, desk)
    #expect(try await desk.web().realServers.last?.standing?.weight == 7)
    #expect(Set((7...8).map { desk.destination(syn($0)) }) == [.realServer(2), .realServer(1)])
  }

  @Test func oneThatIsDownIsRemovedWhereAskedFor() async throws {
    let (desk, checks) = try await desk(Self.health { $0.onFailure = .remove })
    #expect((1...2).map { desk.destination(syn($0)) } == [.realServer(2), .realServer(1)])
    try await state(checks, ".151:80", isUp: false, desk)
    // As after `ipvsadm -d`: `removal: keep`, and back when it returns.
    #expect(desk.destination(ack(2)) == nil)
    #expect(desk.destination(syn(3)) == .realServer(2))
    #expect(try await desk.web().realServers.last?.standing?.isMember == false)
    desk.advance(seconds: 500)
    await desk.director.housekeep()
    try await state(checks, ".151:80", isUp: true, desk)
    #expect(desk.destination(ack(2)) == .realServer(1))
  }

  /// All checks of a real server have to be up.
  @Test func everyCheckCounts() async throws {
    let (desk, checks) = try await desk(
      Self.health {
        $0.ownChecks[IPAddress("192.168.1.151")!] = [HealthCheck(.tcp, port: Port(99))]
      })
    #expect(checks.present.count == 3)
    try await state(checks, ".151:99", isUp: false, desk)
    try await state(checks, ".151:80", isUp: false, desk)
    try await state(checks, ".151:99", isUp: true, desk)
    #expect(try await desk.web().realServers.map(\.standing?.isUp) == [true, false])
    try await state(checks, ".151:80", isUp: true, desk)
    #expect(try await desk.web().realServers.map(\.standing?.isUp) == [true, true])
  }

  /// Two services that ask the same of one real server ask it once.
  @Test func equalChecksAreShared() async throws {
    let (desk, checks) = try await desk()
    let other = VirtualServiceKey(
      address: IPAddress("192.168.1.148")!, ipProtocol: .tcp, port: Port(80))
    try await desk.director.addService(ServiceConfiguration(key: other, scheduler: .rr))
    try await desk.director.addRealServer(.number(1), to: other)
    try await desk.director.setHealth(Self.health(), of: other)
    try await desk.director.settle()
    #expect(checks.present.count == 2)
    try await state(checks, ".151:80", isUp: false, desk)
    let statuses = await desk.director.serviceStatuses()
    #expect(statuses.flatMap(\.realServers).filter { $0.standing?.isUp == false }.count == 2)
    try await desk.director.deleteService(.web)
    try await desk.director.settle()
    #expect(checks.present.count == 1)
    await desk.director.clear()
    try await desk.director.settle()
    #expect(checks.present.isEmpty)
  }

  /// Whose VIP is asked has to be known by MAC address, the one of the moment.
  @Test func vipsAreAskedAtMACAddresses() async throws {
    var check = HealthCheck(.tcp)
    check.target = .vip
    let (desk, checks) = try await desk(Self.health { $0.checks = [check] })
    #expect(
      checks.present.map { "\($0)" } == [
        "tcp 192.168.1.149:80 at 192.168.1.151", "tcp 192.168.1.149:80 at 192.168.1.152",
      ])
    let (one, two) = (IPAddress("192.168.1.151")!, IPAddress("192.168.1.152")!)
    #expect(
      checks.neighbors.mapValues(\.macAddress) == [one: .realServer(1), two: .realServer(2)])
    let running = Task { try await desk.director.run() }
    defer { running.cancel() }
    desk.neighbors.change(one, to: Neighbor(macAddress: .realServer(9), isResolved: true))
    while checks.neighbors[one]?.macAddress != .realServer(9) {
      try await Task.sleep(for: .milliseconds(2))
    }
  }

  /// The sorry server is no real server of the operator's, and goes when it is asked to.
  @Test func theSorryServerStandsIn() async throws {
    let sorry = IPAddress("192.168.1.159")!
    let (desk, checks) = try await desk(
      Self.health { ($0.quorum, $0.sorryServer) = (2, sorry) })
    #expect(checks.present.count == 2)
    #expect((1...2).map { desk.destination(syn($0)) } == [.realServer(2), .realServer(1)])
    try await state(checks, ".151:80", isUp: false, desk)
    #expect((3...6).map { desk.destination(syn($0)) } == .init(repeating: .realServer(9), count: 4))
    // The connections of before go on.
    #expect((1...2).map { desk.destination(ack($0)) } == [.realServer(2), .realServer(1)])
    #expect(try await desk.web().hasQuorum == false)
    #expect(await desk.director.site().tables[0].realServers.count == 2)
    for refused in [DirectorError.noSuchRealServer(sorry, .web)] {
      await #expect(throws: refused) {
        try await desk.director.deleteRealServer(sorry, port: Port(80), from: .web)
      }
      await #expect(throws: refused) {
        try await desk.director.editRealServer(.number(9), of: .web)
      }
    }
    try await state(checks, ".151:80", isUp: true, desk)
    #expect(Set((7...8).map { desk.destination(syn($0)) }) == [.realServer(2), .realServer(1)])
    #expect(desk.neighbors.followed.contains(sorry))
    try await desk.director.setHealth(Self.health(), of: .web)
    try await desk.director.settle()
    #expect(!desk.neighbors.followed.contains(sorry))
    #expect(try await desk.web().realServers.count == 2)
  }

  /// A real server becomes the sorry server and back by a file, and one that cannot be had changes
  /// nothing.
  @Test func theFileMovesTheSorryServer() async throws {
    let (desk, _) = try await desk()
    var site = SiteConfiguration(ports: [PortConfiguration(interface: "lan0")])
    (site.tables, site.timeouts) = await desk.director.site()
    let before = site
    site.tables[0].realServers.removeLast()
    site.tables[0].health.sorryServer = IPAddress("192.168.1.152")!
    try await desk.director.apply(site)
    try await desk.director.settle()
    #expect(await desk.director.site().tables == site.tables)
    #expect(try await desk.web().realServers.count == 2)
    var wrong = before
    wrong.tables[0].health.sorryServer = IPAddress("10.9.9.9")!
    await #expect(throws: DirectorRefusals.self) { try await desk.director.apply(wrong) }
    #expect(await desk.director.site().tables == site.tables)
    try await desk.director.apply(before)
    try await desk.director.settle()
    #expect(await desk.director.site().tables == before.tables)
    #expect(Set((1...2).map { desk.destination(syn($0)) }) == [.realServer(2), .realServer(1)])
  }

  /// What comes back gets a tenth of its share in the first second, and all of it in the end.
  @Test func slowStart() async throws {
    let (desk, checks) = try await desk(Self.health { $0.slowStartSeconds = 9 }, scheduler: .wrr)
    try await state(checks, ".151:80", isUp: false, desk)
    try await state(checks, ".151:80", isUp: true, desk)
    func share(of ports: Range<UInt16>) -> Int {
      ports.count { desk.destination(syn($0)) == .realServer(1) }
    }
    // 25 of 25 + 256 parts of 281 connections.
    #expect(share(of: 1..<282) == 25)
    desk.advance(seconds: 20)
    await desk.director.publishSoon()
    try await desk.director.settle()
    #expect((49...51).contains(share(of: 1000..<1100)))
  }

  /// `initial: down`: nothing goes to one that nobody has asked yet.
  @Test func initialStates() async throws {
    var check = HealthCheck(.tcp)
    check.schedule.initial = .down
    let (desk, checks) = try await desk(Self.health { $0.checks = [check] })
    #expect(desk.destination(syn(1)) == nil)
    try await state(checks, ":80", isUp: true, desk)
    #expect(desk.destination(syn(2)) != nil)
  }

  /// The operator takes the checks away: all is as without.
  @Test func checksThatEndLeaveNothing() async throws {
    let (desk, checks) = try await desk()
    try await state(checks, ":80", isUp: false, desk)
    #expect(desk.destination(syn(1)) == nil)
    try await desk.director.setHealth(ServiceHealth(), of: .web)
    try await desk.director.settle()
    #expect(checks.present.isEmpty)
    #expect(desk.destination(syn(2)) != nil)
  }
}
