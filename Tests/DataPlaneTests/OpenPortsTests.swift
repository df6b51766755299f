// SPDX-License-Identifier: Apache-2.0
import Glibc
import TestSupport
import Testing

@testable import DataPlane

/// A director with two arms on the running kernel: two cables in a namespace, whose far ends the
/// test holds.
@Suite(
  .requires(.root, .networkNamespaces, .xdpSockets, .commands("ip", "ethtool")), .serialized)
struct OpenPortsTests {
  private static let macs = [
    TestSupport.Wire.directorMAC, MACAddress("02:00:00:00:02:d2")!,
  ]

  /// One real server on each LAN, in turn.
  private static let servers: SnapshotSpecification = {
    var far = SnapshotSpecification.RealServer.number(1)
    far.egress = 1
    return SnapshotSpecification(
      services: [
        .init(
          index: ServiceIndex(rawValue: 1), key: OpenPortTests.key, scheduler: .rr, revision: 1,
          realServers: [.number(2), far])
      ], egressMACAddresses: macs)
  }()

  private func twoArms(queues: Int = 1, secondQueues: Int? = nil) throws -> TestSupport.Wire {
    let wire = try TestSupport.Wire(queues: queues)
    try wire.director.connect(
      "lan1", to: "far1", of: wire.far, queues: secondQueues ?? queues, mac: Self.macs[1])
    try wire.far.run("sysctl -qw net.ipv6.conf.far1.disable_ipv6=1")
    return wire
  }

  private func make(
    on wire: TestSupport.Wire, _ modes: [XDPMode] = [.native, .native],
    _ queues: [QueueSelection] = [.all, .all]
  ) throws -> WorkerGroup {
    let ports = [0, 1].map {
      PortConfiguration(
        interface: "lan\($0)", xdpMode: modes[$0], copyMode: .copy, queues: queues[$0])
    }
    let configuration = WorkerConfiguration(
      ports: ports, forwarder: ForwarderConfiguration(ipv4Entries: 1 << 14, ipv6Entries: 1 << 10))
    return try wire.director.namespace.perform { try WorkerGroup(configuration) }
  }

  private func start(_ group: WorkerGroup, on wire: TestSupport.Wire) throws {
    try wire.director.namespace.perform { try group.start() }
    group.publish(try Snapshot(Self.servers, generation: 1))
    #expect(waitUntil { group.adoptedGeneration == 1 })
    try group.open(VirtualPorts(of: OpenPortTests.key))
  }

  private func isAttached(_ interface: String, on wire: TestSupport.Wire) throws -> Bool {
    try wire.director.run("ip -d link show \(interface)").contains("prog/xdp")
  }

  private func refusal(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch {
      return "\(error)"
    }
  }

  private func syn(_ number: Int, to arm: Int) -> [UInt8] {
    OpenPortTests.syn(UInt16(1024 + number)).with { $0.destinationMAC = Self.macs[arm] }.frame
  }

  /// Both generic and native, from either side to either side.
  @Test(arguments: [[XDPMode.native, .native], [.native, .generic]])
  func framesLeaveByTheirRealServersInterface(_ modes: [XDPMode]) throws {
    let wire = try twoArms()
    let group = try make(on: wire, modes)
    defer { group.stop() }
    try start(group, on: wire)
    #expect(group.interfaces.map(\.name) == ["lan0", "lan1"])
    let taps = [try wire.far.tap("far0"), try wire.far.tap("far1")]
    for (number, ingress) in [0, 0, 1, 1].enumerated() {
      let frame = syn(number, to: ingress)
      try taps[ingress].send(frame)
      // The list is in LVS order, in which 2 comes first: on the first LAN.
      let egress = number % 2
      let expected =
        MACAddress.realServer(egress == 0 ? 2 : 1).octets + Self.macs[egress].octets + frame[12...]
      #expect(
        taps[egress].next { !$0.isOutgoing && $0.octets == expected } != nil, "packet \(number)")
    }
    let statistics = try #require(group.queueStatistics.first)
    #expect(statistics.sockets.map(\.interface) == ["lan0", "lan1"])
    #expect(statistics.sockets.map { $0.worker[.received] } == [2, 2])
    #expect(statistics.sockets.map { $0.worker[.forwarded] } == [2, 2])
    #expect(group.programCounters.services == 4)
  }

  /// More packets than there are frames, by both sides at once, half of them across: each frame
  /// comes home again and again, and what is lost on the way is counted by the kernel.
  @Test(arguments: [1, 2]) func noFrameAndNoPacketGetsLostUncounted(_ queues: Int) throws {
    let wire = try twoArms(queues: queues)
    let group = try make(on: wire)
    defer { group.stop() }
    try start(group, on: wire)
    let taps = [try wire.far.tap("far0"), try wire.far.tap("far1")]
    for number in 0..<12000 { try taps[number % 2].send(syn(number / 2, to: number % 2)) }
    func sum(_ counter: QueueCounter) -> UInt64 {
      group.queueStatistics.reduce(0) { $0 + $1.worker[counter]! }
    }
    func lost() -> UInt64 {
      group.queueStatistics.map(\.socket).reduce(0) {
        $0 + $1.rxDropped + $1.rxRingFull + $1.fillRingEmpty
      }
    }
    let isClosed = waitUntil(seconds: 20) {
      let services = group.programCounters.services
      return services > 0 && sum(.received) + lost() == services
        && sum(.completed) == sum(.received)
    }
    #expect(isClosed, "\(group.programCounters) \(sum(.received)) \(lost()) \(sum(.completed))")
    #expect(group.programCounters.withoutSocket == 0)
    for socket in group.queueStatistics.flatMap(\.sockets) {
      #expect(socket.worker[.received] == socket.worker[.forwarded], "\(socket)")
      #expect(socket.worker[.received]! > 0 && socket.worker[.completed]! > 0, "\(socket)")
      #expect(
        socket.socket.rxInvalidDescriptors == 0 && socket.socket.txInvalidDescriptors == 0)
    }
    #expect(group.failure == nil)
  }

  @Test func queuesMustBeOfOneNumber() throws {
    let wire = try twoArms(queues: 1, secondQueues: 2)
    let words = refusal { _ = try make(on: wire) }
    #expect(words.contains("lan1 would have 2 receive queues and lan0 1"), "\(words)")
    #expect(words.contains("`queues: 1`"), "\(words)")
    let group = try make(on: wire, [.native, .native], [.all, .count(1)])
    group.stop()
  }

  /// The second one's peer has an MTU that its driver cannot take.
  @Test func oneThatCannotAttachLeavesNoneAttached() throws {
    let wire = try twoArms()
    try wire.far.ip("link set far1 mtu 9000")
    let group = try make(on: wire)
    defer { group.stop() }
    let words = refusal { try wire.director.namespace.perform { try group.start() } }
    #expect(words.contains("the driver of lan1 refuses XDP"), "\(words)")
    #expect(try !isAttached("lan0", on: wire) && !isAttached("lan1", on: wire))
  }

  @Test func whatIsInTheWayOfOneIsNamed() throws {
    let wire = try twoArms()
    let other = try wire.director.namespace.perform {
      try WorkerGroup(
        WorkerConfiguration(ports: [PortConfiguration(interface: "lan1", copyMode: .copy)]))
    }
    let words = refusal { _ = try make(on: wire) }
    #expect(words.contains("another program owns queue 0 of lan1"), "\(words)")
    other.stop()
    try wire.director.ip("link delete lan1")
    #expect(refusal { _ = try make(on: wire) }.contains("no interface lan1"))
  }

  @Test func stoppingGivesBothBack() throws {
    let wire = try twoArms()
    for _ in 0..<2 {
      let group = try make(on: wire)
      try start(group, on: wire)
      #expect(try isAttached("lan0", on: wire) && isAttached("lan1", on: wire))
      group.stop()
      #expect(try !isAttached("lan0", on: wire) && !isAttached("lan1", on: wire))
    }
  }

  /// An interface that is down keeps the other's packets going, and goes on when it is up.
  @Test func oneThatIsDownKeepsNoOtherWaiting() throws {
    let wire = try twoArms()
    let group = try make(on: wire)
    defer { group.stop() }
    try start(group, on: wire)
    let taps = [try wire.far.tap("far0"), try wire.far.tap("far1")]
    try wire.director.ip("link set lan1 down")
    // Half of them are for the LAN that is down: more than its ring holds.
    func forwarded() -> UInt64 { group.queueStatistics[0].worker[.forwarded]! }
    for number in 0..<6000 {
      try taps[0].send(syn(number, to: 0))
      if number % 256 == 255 {
        _ = waitUntil { group.queueStatistics[0].worker[.received]! > UInt64(number) }
      }
    }
    #expect(waitUntil(seconds: 20) { group.queueStatistics[0].worker[.received]! == 6000 })
    let dropped = group.queueStatistics[0].drops[.egressDown]!
    #expect(dropped > 0 && dropped < 3000)
    #expect(forwarded() + dropped == 6000)
    try wire.director.ip("link set lan1 up")
    // Its real server is the next but one, whichever is next.
    var isBack = false
    for number in 6000..<6100 where !isBack {
      try taps[0].send(syn(number, to: 0))
      isBack = taps[1].next(seconds: 0.25) { $0.octets[12...] == syn(number, to: 0)[12...] } != nil
    }
    #expect(isBack)
    #expect(group.failure == nil)
  }
}
