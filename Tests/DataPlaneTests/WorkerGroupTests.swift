// SPDX-License-Identifier: Apache-2.0
import Glibc
import TestSupport
import Testing

@testable import DataPlane

/// Real workers on a real veth: a frame comes in on the cable and goes out on it again.
@Suite(
  .requires(.root, .networkNamespaces, .xdpSockets, .commands("ip", "ethtool")), .serialized)
struct WorkerGroupTests {
  static let servers = SnapshotSpecification(
    services: [
      .init(
        index: ServiceIndex(rawValue: 1), key: OpenPortTests.key, scheduler: .rr, revision: 1,
        realServers: [.number(2), .number(1)]),
      .init(
        index: ServiceIndex(rawValue: 2), key: OpenPortTests.key6, scheduler: .rr, revision: 1,
        realServers: [.number(4)]),
    ], egressMACAddresses: [TestSupport.Wire.directorMAC])

  private func start(
    on wire: TestSupport.Wire, xdpMode: XDPMode = .native
  ) throws -> WorkerGroup {
    let configuration = WorkerConfiguration(
      ports: [PortConfiguration(interface: "lan0", xdpMode: xdpMode, copyMode: .copy)],
      forwarder: ForwarderConfiguration(ipv4Entries: 1 << 14, ipv6Entries: 1 << 10))
    let group = try wire.director.namespace.perform {
      let group = try WorkerGroup(configuration)
      try group.start()
      return group
    }
    group.publish(try Snapshot(Self.servers, generation: 1))
    let deadline = monotonicSeconds() + 5
    while group.adoptedGeneration < 1, monotonicSeconds() < deadline { usleep(1000) }
    try #require(group.adoptedGeneration == 1)
    for service in Self.servers.services { try group.open(VirtualPorts(of: service.key)) }
    return group
  }

  private func sum(_ group: WorkerGroup, _ counter: QueueCounter) -> UInt64 {
    group.queueStatistics.reduce(0) { $0 + $1.worker[counter]! }
  }

  private static let syn6 = PacketBuilder(from: "2001:db8::9", to: "fd00:2::149").with {
    $0.destinationMAC = TestSupport.Wire.directorMAC
  }

  @Test(arguments: [
    (XDPMode.native, OpenPortTests.syn(), UInt8(2)), (.generic, OpenPortTests.syn(), 2),
    (.native, OpenPortTests.syn().with { $0.vlanTags = [(.vlan, 7)] }, 2),
    (.native, OpenPortTests.syn(payload: [UInt8](repeating: 9, count: 1460)), 2),
    (.native, syn6, 4),
  ]) func onlyTheMACAddressesChange(
    _ mode: XDPMode, _ packet: PacketBuilder, _ realServer: UInt8
  ) throws {
    let wire = try TestSupport.Wire()
    let group = try start(on: wire, xdpMode: mode)
    defer { group.stop() }
    let tap = try wire.far.tap("far0")
    try tap.send(packet.frame)
    let expected =
      MACAddress.realServer(realServer).octets + TestSupport.Wire.directorMAC.octets
      + packet.frame[12...]
    let answer = tap.next { !$0.isOutgoing && $0.octets.starts(with: expected.prefix(6)) }
    #expect(answer?.octets == expected)
    #expect(sum(group, .forwarded) == 1)
    #expect(sum(group, .transmitLost) == 0)
  }

  /// Three times as many packets as there are frames: each frame comes back again and again, and
  /// what is lost on the way is counted by the kernel.
  @Test(arguments: [1, 2]) func noFrameAndNoPacketGetsLostUncounted(_ queues: Int) throws {
    let wire = try TestSupport.Wire(queues: queues)
    let group = try start(on: wire)
    defer { group.stop() }
    let tap = try wire.far.tap("far0")
    let packets = 12000
    for number in 0..<packets { try tap.send(OpenPortTests.syn(UInt16(1024 + number)).frame) }
    func lost() -> UInt64 {
      group.queueStatistics.map(\.socket).reduce(0) {
        $0 + $1.rxDropped + $1.rxRingFull + $1.fillRingEmpty
      }
    }
    _ = waitUntil(seconds: 20) {
      sum(group, .received) + lost() == group.programCounters.services
        && sum(group, .completed) == sum(group, .received)
    }
    let sockets = group.queueStatistics.map(\.socket)
    #expect(group.programCounters.services + group.programCounters.withoutSocket <= UInt64(packets))
    #expect(group.programCounters.withoutSocket == 0)
    #expect(sum(group, .received) + lost() == group.programCounters.services)
    #expect(sum(group, .received) == sum(group, .forwarded))
    #expect(sum(group, .completed) == sum(group, .forwarded), "every frame comes back")
    #expect(sockets.allSatisfy { $0.rxInvalidDescriptors == 0 && $0.txInvalidDescriptors == 0 })
    #expect(group.failure == nil)
    let idle = group.queueStatistics.filter { $0.worker[.received] == 0 }
    #expect(idle.isEmpty, "flows spread over the queues")
  }

  /// Errors hash by the addresses of whoever reports, so they come to either worker.
  @Test func anICMPErrorReachesItsConnectionFromAnyQueue() throws {
    let wire = try TestSupport.Wire(queues: 2)
    let group = try start(on: wire)
    defer { group.stop() }
    let tap = try wire.far.tap("far0")
    for flow in UInt16(0)..<32 {
      let syn = OpenPortTests.syn(1024 + flow)
      try tap.send(syn.frame)
      let sent = try #require(tap.next { !$0.isOutgoing && $0.octets[12...] == syn.frame[12...] })
      let error = syn.answer.icmpError(
        from: "172.16.\(flow).1", type: 3, code: 4, word: 1400
      ).with { $0.destinationMAC = TestSupport.Wire.directorMAC }
      try tap.send(error.frame)
      let followed = tap.next { !$0.isOutgoing && $0.octets[12...] == error.frame[12...] }
      #expect(followed?.octets.prefix(6) == sent.octets.prefix(6), "flow \(flow)")
    }
    let byQueue = group.queueStatistics.map { $0.sideTraffic[.icmpFragmentationNeeded]! }
    #expect(byQueue.reduce(0, +) == 32)
    #expect(byQueue.allSatisfy { $0 > 0 }, "\(byQueue)")
  }

  @Test func aLinkThatGoesDownAndUpAgainIsForwardedOnAgain() throws {
    let wire = try TestSupport.Wire()
    let group = try start(on: wire)
    defer { group.stop() }
    let tap = try wire.far.tap("far0")
    try wire.director.ip("link set lan0 down")
    try wire.director.ip("link set lan0 up")
    let packet = OpenPortTests.syn()
    let forwarded = MACAddress.realServer(2).octets
    var answer: FrameTap.Frame?
    // The carrier takes a moment to come back.
    for _ in 0..<20 where answer == nil {
      try? tap.send(packet.frame)
      answer = tap.next(seconds: 0.25) { $0.octets.starts(with: forwarded) }
    }
    #expect(answer != nil)
    #expect(group.failure == nil)
  }

  @Test(arguments: [false, true]) func aDeletedInterfaceEndsTheWorkersWithAReason(
    _ isUnderLoad: Bool
  ) throws {
    let wire = try TestSupport.Wire()
    let group = try start(on: wire)
    defer { group.stop() }
    let tap = try wire.far.tap("far0")
    if isUnderLoad {
      for number in 0..<4000 { try tap.send(OpenPortTests.syn(UInt16(1024 + number)).frame) }
    }
    try wire.director.ip("link delete lan0")
    let deadline = monotonicSeconds() + 5
    while group.failure == nil, monotonicSeconds() < deadline { usleep(1000) }
    #expect(group.failure?.contains("lan0 gave up: the interface is gone") == true)
  }

  @Test func stoppingGivesTheInterfaceBack() throws {
    let wire = try TestSupport.Wire()
    let group = try start(on: wire)
    group.stop()
    group.stop()
    #expect(try !wire.director.run("ip -d link show lan0").contains("prog/xdp"))
    let again = try start(on: wire)
    defer { again.stop() }
    let tap = try wire.far.tap("far0")
    try tap.send(OpenPortTests.syn().frame)
    #expect(tap.next { $0.octets.starts(with: MACAddress.realServer(2).octets) } != nil)
  }
}
