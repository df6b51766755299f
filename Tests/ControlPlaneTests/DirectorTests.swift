// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc
import Logging
import Synchronization
import TestSupport
import Testing

@testable import ControlPlane

/// A director over real forwarders, with a clock of its own.
struct Desk {
  let plane: InProcessPlane
  let neighbors: StatedNeighbors
  let director: Director
  private let time = Time()

  final class Time: Sendable {
    let seconds = Atomic<Int>(1_000_000)
  }

  init(
    workers: Int = 1, entries: Int = 1 << 10, interfaces: Int = 1,
    neighbors: StatedNeighbors = .site(), checks: StatedChecks? = nil,
    logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
  ) throws {
    self.neighbors = neighbors
    plane = try InProcessPlane(workers: workers, entries: entries, interfaces: interfaces)
    let time = time
    director = Director(
      plane: plane, neighbors: neighbors, checks: checks, logger: logger,
      clock: { .seconds(time.seconds.load(ordering: .relaxed)) })
  }

  func advance(seconds: Int) {
    time.seconds.add(seconds, ordering: .relaxed)
  }

  /// The textbook service with real servers .151 and so on, weight 1.
  func addWeb(realServers: ClosedRange<Int> = 1...2, scheduler: Scheduler = .rr) async throws {
    try await director.addService(ServiceConfiguration(key: .web, scheduler: scheduler))
    for number in realServers { try await director.addRealServer(.number(number), to: .web) }
    try await director.settle()
  }

  /// Which real server a frame leaves for; nil where it is dropped.
  func destination(_ packet: PacketBuilder, worker: Int = 0) -> MACAddress? {
    let (verdict, frame) = plane.forward(packet, worker: worker)
    return verdict.isForward ? MACAddress(octets: frame[0..<6]) : nil
  }

  func web() async throws -> ServiceStatus {
    try #require(await director.serviceStatuses().first { $0.configuration.key == .web })
  }
}

extension RealServerConfiguration {
  static func number(_ number: Int, weight: UInt32 = 1) -> Self {
    Self(address: IPAddress("192.168.1.15\(number)")!, port: Port(80), weight: weight)
  }
}

func syn(_ port: UInt16) -> PacketBuilder {
  PacketBuilder(from: "10.0.0.9", to: "192.168.1.149").with { $0.sourcePort = Port(port) }
}

func ack(_ port: UInt16) -> PacketBuilder { syn(port).with { $0.tcpFlags = .ack } }

@Suite struct DirectorTests {
  /// `list_add_rcu` in ip_vs_ctl.c puts a new destination at the head.
  @Test func newRealServersGoToTheHead() async throws {
    let desk = try Desk()
    try await desk.addWeb(realServers: 1...3)
    #expect(
      try await desk.web().realServers.map(\.configuration.address.description)
        == ["192.168.1.153", "192.168.1.152", "192.168.1.151"])
    #expect((1...3).map { desk.destination(syn($0)) } == [3, 2, 1].map(MACAddress.realServer))
    #expect(desk.plane.opened == [.web])
  }

  @Test func commandsAreRefusedWithTheKernelsErrno() async throws {
    let desk = try Desk()
    let director = desk.director
    let web = ServiceConfiguration(key: .web, scheduler: .rr)
    await refuses(.noSuchService(.web), ESRCH) { try await director.deleteService(.web) }
    await refuses(.noSuchService(.web), ESRCH) { try await director.editService(web) }
    await refuses(.noSuchService(.web), ESRCH) { try await director.zero(.web) }
    await refuses(.noSuchService(.web), ESRCH) {
      try await director.addRealServer(.number(1), to: .web)
    }
    try await desk.addWeb()
    let before = await director.serviceStatuses()
    await refuses(.serviceExists(.web), EEXIST) { try await director.addService(web) }
    let address = IPAddress("192.168.1.151")!
    await refuses(.realServerExists(address, .web), EEXIST) {
      try await director.addRealServer(.number(1), to: .web)
    }
    let absent = IPAddress("192.168.1.159")!
    await refuses(.noSuchRealServer(absent, .web), ENOENT) {
      try await director.editRealServer(.number(9), of: .web)
    }
    await refuses(.noSuchRealServer(absent, .web), ENOENT) {
      try await director.deleteRealServer(absent, port: Port(80), from: .web)
    }
    await refuses(.weightOutOfRange(1 << 31), ERANGE) {
      try await director.editRealServer(.number(1, weight: 1 << 31), of: .web)
    }
    #expect(await director.serviceStatuses() == before)
  }

  /// Port 0 stands for all ports and, as in LVS, needs persistence.
  @Test func allPortsNeedPersistence() async throws {
    let desk = try Desk()
    let director = desk.director
    let key = VirtualServiceKey.web.onAllPorts
    await refuses(.portZero(key), EINVAL) {
      try await director.addService(.init(key: key, scheduler: .rr))
    }
    let persistence = Persistence(timeoutSeconds: 300)
    try await director.addService(.init(key: key, scheduler: .rr, persistence: persistence))
    let server = RealServerConfiguration(address: IPAddress("192.168.1.151")!, port: Port(0))
    try await director.addRealServer(server, to: key)
    try await director.addService(.init(key: .web, scheduler: .rr))
    try await director.settle()
    await refuses(.portZero(key), EINVAL) {
      try await director.editService(.init(key: key, scheduler: .rr))
    }
    let allPorts = VirtualPorts(of: key)
    #expect(allPorts.ports == Port(0)...Port(.max) && "\(allPorts)" == "TCP 192.168.1.149:0")
    #expect(desk.plane.opened == [.web, allPorts])
    try await director.deleteService(key)
    try await director.settle()
    #expect(desk.plane.opened == [.web])
  }

  @Test func whatDirectRoutingCannotDoIsRefused() async throws {
    let desk = try Desk()
    let director = desk.director
    try await desk.addWeb()
    let port = Port(8080)
    await refuses(.portMismatch(port, .web), EINVAL) {
      let other = RealServerConfiguration(address: IPAddress("192.168.1.153")!, port: port)
      try await director.addRealServer(other, to: .web)
    }
    let ipv6 = IPAddress("2001:db8::151")!
    await refuses(.addressFamilyMismatch(ipv6, .web), EINVAL) {
      try await director.addRealServer(.init(address: ipv6, port: Port(80)), to: .web)
    }
    for text in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::ffff:10.0.0.1"] {
      let address = IPAddress(text)!
      await refuses(.notUnicast(address), EINVAL) {
        try await director.addRealServer(.init(address: address, port: Port(80)), to: .web)
      }
    }
    let far = IPAddress("10.0.0.5")!
    await refuses(.behindGateway(far, gateway: IPAddress("192.168.1.1")!), EINVAL) {
      try await director.addRealServer(.init(address: far, port: Port(80)), to: .web)
    }
    let dccp = VirtualServiceKey(
      address: .init("192.168.1.149")!, ipProtocol: IPProtocol(rawValue: 33), port: Port(80))
    await refuses(.unsupportedProtocol(dccp), EPROTONOSUPPORT) {
      try await director.addService(.init(key: dccp, scheduler: .rr))
    }
    #expect(
      DirectorError.behindGateway(far, gateway: IPAddress("192.168.1.1")!).description
        .hasPrefix("direct routing needs one LAN: 10.0.0.5 is behind gateway 192.168.1.1"))
  }

  @Test func deletingAServiceClosesItAndForgetsItsRealServers() async throws {
    let desk = try Desk()
    try await desk.addWeb()
    #expect(desk.neighbors.followed.count == 2)
    try await desk.director.deleteService(.web)
    try await desk.director.settle()
    #expect(desk.plane.opened.isEmpty)
    #expect(desk.neighbors.followed.isEmpty)
    #expect(await desk.director.serviceStatuses().isEmpty)
    #expect(desk.plane.forward(syn(1)).verdict == .drop(.noService))
  }

  @Test func anAddressIsFollowedAsLongAsOneServiceUsesIt() async throws {
    let desk = try Desk()
    try await desk.addWeb(realServers: 1...1)
    try await desk.director.addService(.init(key: .dns, scheduler: .rr))
    let address = IPAddress("192.168.1.151")!
    try await desk.director.addRealServer(.init(address: address, port: Port(53)), to: .dns)
    try await desk.director.deleteService(.web)
    #expect(desk.neighbors.followed == [address])
    await desk.director.clear()
    #expect(desk.neighbors.followed.isEmpty)
  }

  @Test func aBurstOfCommandsIsOneSnapshot() async throws {
    let desk = try Desk()
    try await desk.director.addService(.init(key: .web, scheduler: .rr))
    for number in 1...9 { try await desk.director.addRealServer(.number(number), to: .web) }
    try await desk.director.settle()
    try await desk.director.settle()
    #expect(desk.plane.generations == [1])
  }

  /// A packet never meets a worker that does not know its service.
  @Test func aServiceIsOpenOnlyWhileWorkersKnowIt() async throws {
    let desk = try Desk()
    try await desk.addWeb()
    try await desk.director.deleteService(.web)
    try await desk.director.settle()
    #expect(
      desk.plane.steps == [
        .published(generation: 1), .opened(.web), .closed(.web), .published(generation: 2),
      ])
    // Deleted and added again in one burst: its packets need not notice.
    try await desk.addWeb()
    await desk.director.clear()
    try await desk.addWeb()
    #expect(
      desk.plane.steps.dropFirst(4) == [
        .published(generation: 3), .opened(.web), .published(generation: 4),
      ])
  }

  @Test func whatThePlaneRefusesIsSaidAndTriedAgain() async throws {
    let desk = try Desk()
    desk.plane.refuse("the map is full")
    try await desk.director.addService(.init(key: .web, scheduler: .rr))
    await #expect(throws: DirectorError.system("the map is full")) {
      try await desk.director.settle()
    }
    #expect(desk.plane.opened.isEmpty)
    desk.plane.refuse(nil)
    await desk.director.housekeep()
    #expect(desk.plane.opened == [.web])
    try await desk.director.settle()
  }

  /// `ipvsadm -R` of a large site: each command costs the same, however many came before.
  @Test func thousandsOfRealServersTakeMoments() async throws {
    let count = 20_000
    let address = { (number: Int) in
      IPAddress.v4(IPv4Address(rawValue: 0x0a00_0001 + UInt32(number)))
    }
    var stated: [IPAddress: Neighbor] = [:]
    for number in 0..<count {
      stated[address(number)] = Neighbor(macAddress: .realServer(1), isResolved: true)
    }
    let desk = try Desk(neighbors: StatedNeighbors(stated))
    let start = ContinuousClock.now
    try await desk.director.addService(.init(key: .web, scheduler: .wrr))
    for number in 0..<count {
      try await desk.director.addRealServer(
        .init(address: address(number), port: Port(80)), to: .web)
    }
    try await desk.director.settle()
    // A second in a debug build; a copy of the list per command would take minutes.
    #expect(ContinuousClock.now - start < .seconds(20))
    #expect(try await desk.web().realServers.count == count)
  }

  @Test func concurrentCallersAllSeeTheirChangesInForce() async throws {
    let desk = try Desk(workers: 2)
    try await desk.director.addService(.init(key: .web, scheduler: .rr))
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 1...9 {
        group.addTask {
          try await desk.director.addRealServer(.number(number), to: .web)
          try await desk.director.settle()
        }
      }
      try await group.waitForAll()
    }
    let reached = Set((1...9).compactMap { desk.destination(syn($0)) })
    #expect(reached == Set((1...9).map(MACAddress.realServer)))
    #expect(desk.plane.generations.count <= 9)
  }

  @Test func timeoutsOfZeroStay() async throws {
    let director = try Desk().director
    #expect(await director.timeouts == TimeoutConfiguration(tcp: 900, tcpFin: 120, udp: 300))
    try await director.setTimeouts(.init(tcp: 60, tcpFin: 0, udp: 20))
    #expect(await director.timeouts == TimeoutConfiguration(tcp: 60, tcpFin: 120, udp: 20))
    await refuses(.timeoutOutOfRange(.max), EINVAL) {
      try await director.setTimeouts(.init(tcp: 1, tcpFin: 1, udp: .max))
    }
    #expect(await director.timeouts == TimeoutConfiguration(tcp: 60, tcpFin: 120, udp: 20))
  }

  @Test func aSilentNeighborGetsNoNewConnectionsAndKeepsItsOwn() async throws {
    let desk = try Desk()
    try await desk.addWeb()
    let running = Task { try await desk.director.run() }
    defer { running.cancel() }
    #expect(desk.destination(syn(1)) == .realServer(2))
    let address = IPAddress("192.168.1.152")!
    desk.neighbors.change(address, to: .init(macAddress: .realServer(2), isResolved: false))
    try await eventually { await self.neighbor(address, desk)?.isResolved == false }
    try await eventually { desk.plane.generations.count == 2 }
    #expect(
      [2, 3, 4].map { desk.destination(syn($0)) } == Array(repeating: .realServer(1), count: 3))
    #expect(desk.destination(ack(1)) == .realServer(2))
    // Another network card: live connections follow at once.
    desk.neighbors.change(address, to: .init(macAddress: .realServer(77), isResolved: true))
    try await eventually { desk.plane.generations.count == 3 }
    #expect(desk.destination(ack(1)) == .realServer(77))
  }

  @Test func settlingGivesANewRealServerAMoment() async throws {
    let desk = try Desk()
    let running = Task { try await desk.director.run() }
    defer { running.cancel() }
    let address = IPAddress("192.168.1.151")!
    desk.neighbors.state(address, as: .init(macAddress: nil, isResolved: false))
    await desk.director.limitResolution(to: .seconds(60))
    try await desk.director.addService(.init(key: .web, scheduler: .rr))
    try await desk.director.addRealServer(.number(1), to: .web)
    Task {
      try await Task.sleep(for: .milliseconds(20))
      desk.neighbors.change(address, to: .init(macAddress: .realServer(1), isResolved: true))
    }
    try await desk.director.settle()
    #expect(desk.destination(syn(1)) == .realServer(1))
    // Not for ever.
    let silent = IPAddress("192.168.1.152")!
    desk.neighbors.state(silent, as: .init(macAddress: nil, isResolved: false))
    try await desk.director.addRealServer(.number(2), to: .web)
    await desk.director.limitResolution(to: .milliseconds(20))
    try await desk.director.settle()
    #expect((2...4).map { desk.destination(syn($0)) } == .init(repeating: .realServer(1), count: 3))
    #expect(await neighbor(silent, desk) == Neighbor(macAddress: nil, isResolved: false))
  }

  private func neighbor(_ address: IPAddress, _ desk: Desk) async -> Neighbor? {
    try? await desk.web().realServers.first { $0.configuration.address == address }?.neighbor
  }
}

extension Director {
  fileprivate func limitResolution(to limit: Duration) { resolutionLimit = limit }
}

/// The command is refused with this error and errno.
func refuses(
  _ expected: DirectorError, _ errorNumber: Int32,
  sourceLocation: SourceLocation = #_sourceLocation,
  _ command: () async throws -> Void
) async {
  do {
    try await command()
    Issue.record("was accepted", sourceLocation: sourceLocation)
  } catch {
    #expect(error as? DirectorError == expected, sourceLocation: sourceLocation)
    #expect((error as? DirectorError)?.errorNumber == errorNumber, sourceLocation: sourceLocation)
  }
}

/// Waits for a condition that another task or thread brings about.
func eventually(
  within limit: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation,
  _ condition: () async throws -> Bool
) async throws {
  let deadline = ContinuousClock.now + limit
  while try await !condition() {
    guard ContinuousClock.now < deadline else {
      Issue.record("did not come about within \(limit)", sourceLocation: sourceLocation)
      return
    }
    try await Task.sleep(for: .milliseconds(5))
  }
}
