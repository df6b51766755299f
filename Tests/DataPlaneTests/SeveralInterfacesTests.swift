// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

@testable import DataPlane

/// A worker's turn on several interfaces against a kernel that is played by seed: a packet leaves
/// by the interface of its real server, and its frame comes home.
@Suite struct SeveralInterfacesTests {
  private static let macs = [MACAddress.director, MACAddress("02:00:00:00:00:d2")!]
  private static let syn = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149")

  /// Web on real server 1 by the first interface and 2 by the second; port 81 is on real server 7
  /// by the second one, port 8080 on none.
  private static let site: SnapshotSpecification = {
    var site = SnapshotSpecification.site()
    site.egressMACAddresses = macs
    for place in site.services.indices {
      for number in site.services[place].realServers.indices {
        let isSecond = site.services[place].realServers[number].index.rawValue % 2 == 0
        site.services[place].realServers[number].egress = isSecond ? 1 : 0
      }
    }
    for (index, port) in [(UInt16(4), UInt16(81)), (5, 8080)] {
      var key = VirtualServiceKey.web
      key.port = Port(port)
      var far = SnapshotSpecification.RealServer.number(7)
      far.egress = 1
      site.services.append(
        .init(
          index: ServiceIndex(rawValue: index), key: key, scheduler: .rr, revision: 1,
          realServers: port == 81 ? [far] : []))
    }
    return site
  }()

  /// A loop, the kernel that is played to it, and what it forwards by.
  private final class Bench {
    let kernel: SimulatedKernel
    var loop: WorkerLoop
    private let snapshot: Snapshot

    init(entries: UInt32 = 64, ringEntries: UInt32 = 32, startIndex: UInt32 = 0) throws {
      kernel = SimulatedKernel(
        interfaces: 2, entries: entries, ringEntries: ringEntries, startIndex: startIndex)
      snapshot = try Snapshot(SeveralInterfacesTests.site, generation: 1)
      var generator = Seed(7)
      let forwarder = try Forwarder(
        ForwarderConfiguration(
          ipv4Entries: 256, ipv6Entries: 256, hashKey: HashKey(using: &generator)),
        now: Tick(rawValue: 0))
      loop = WorkerLoop(kernel.memories, forwarder: forwarder)
      loop.adopt(snapshot)
    }

    var isHolding: Bool { loop.isHolding }

    var whereabouts: [String: Int]? {
      kernel.whereabouts(held: (0..<loop.pen.count).map { loop.pen.descriptors[$0].address })
    }

    /// All that is to be sent goes out.
    func drain(_ interfaces: [Int] = [0, 1]) {
      for interface in interfaces.map({ kernel.interfaces[$0] }) {
        interface.takeTransmit(budget: 1000)
        while !interface.inFlight.isEmpty { interface.complete(at: 0) }
      }
    }

    func settle() {
      for step in UInt32(0)..<200 {
        _ = loop.turn(now: Tick(rawValue: 100_000 + step * 20))
        drain()
      }
    }

    func sum(_ counter: QueueCounter) -> UInt64 {
      loop.counters(of: 0)[counter] + loop.counters(of: 1)[counter]
    }
  }

  private static func to(_ port: UInt16, from sourcePort: UInt16) -> PacketBuilder {
    syn.with {
      $0.destinationPort = Port(port)
      $0.sourcePort = Port(sourcePort)
    }
  }

  @Test(arguments: [0, 1]) func aPacketLeavesByItsRealServersInterface(_ ingress: Int) throws {
    let bench = try Bench()
    let frame = Self.to(81, from: 1024).frame
    #expect(bench.kernel.interfaces[ingress].deliver(frame))
    #expect(bench.loop.turn(now: Tick(rawValue: 1)) == 1)
    #expect(bench.loop.wakeups(of: 0) == [] && bench.loop.wakeups(of: 1) == .transmit)
    bench.drain()
    #expect(bench.kernel.interfaces[0].sent == [])
    #expect(
      bench.kernel.interfaces[1].sent
        == [MACAddress.realServer(7).octets + Self.macs[1].octets + frame[12...]])
    #expect(bench.loop.counters(of: ingress)[.received] == 1)
    #expect(bench.loop.counters(of: 1 - ingress)[.received] == 0)
    _ = bench.loop.turn(now: Tick(rawValue: 2))
    #expect(bench.whereabouts?["fill"] == 128, "the frame is at home again")
    #expect(bench.loop.counters(of: 1)[.completed] == 1)
  }

  @Test func answersGoBackWhereThePacketCameFrom() throws {
    let bench = try Bench()
    let packet = Self.to(8080, from: 1024).with { $0.destinationMAC = Self.macs[1] }
    #expect(bench.kernel.interfaces[1].deliver(packet.frame))
    _ = bench.loop.turn(now: Tick(rawValue: 1))
    bench.drain()
    #expect(bench.kernel.interfaces[0].sent == [])
    let answer = try #require(bench.kernel.interfaces[1].sent.first)
    #expect(answer.starts(with: packet.sourceMAC.octets + Self.macs[1].octets))
  }

  /// Sixteen frames each, and a thousand packets that all come in by one and leave by the other.
  @Test func oneWayTrafficLosesNothing() throws {
    let bench = try Bench(entries: 16, ringEntries: 8)
    for number in UInt16(0)..<1000 {
      #expect(bench.kernel.interfaces[0].deliver(Self.to(81, from: 1024 + number).frame))
      _ = bench.loop.turn(now: Tick(rawValue: UInt32(number)))
      bench.drain()
      #expect(bench.whereabouts != nil)
    }
    #expect(bench.kernel.interfaces[1].sent.count == 1000)
  }

  /// A kernel that takes nothing by one interface: the loop stops receiving, and loses no frame.
  @Test func aFullTransmitRingHoldsPacketsInEveryReceiveRing() throws {
    let bench = try Bench(entries: 64, ringEntries: 8)
    for _ in 0..<4 {
      for number in UInt16(0)..<8 {
        _ = bench.kernel.interfaces[0].deliver(Self.to(81, from: 1024 + number).frame)
      }
      _ = bench.loop.turn(now: Tick(rawValue: 1))
      bench.drain([0])
    }
    #expect(bench.kernel.interfaces[0].received == 8)
    #expect(bench.loop.waiting(at: 1) == 8)
    #expect(bench.loop.counters(of: 0)[.transmitFull] > 0)
    #expect(bench.loop.view.drops(.egressDown) == 0)
    bench.drain()
    #expect(bench.loop.turn(now: Tick(rawValue: 2)) == 8)
  }

  /// What is for an interface that is down waits as far as there is room; the others go on.
  @Test func aDownInterfaceKeepsNoOtherWaiting() throws {
    let bench = try Bench(entries: 64, ringEntries: 8)
    bench.loop.setDown(true, 1)
    // Web is on real server 1 by the first interface and 2 by the second, in turn.
    for number in UInt16(0)..<40 {
      #expect(bench.kernel.interfaces[0].deliver(Self.to(80, from: 1024 + number).frame))
      _ = bench.loop.turn(now: Tick(rawValue: 1))
      bench.drain([0])
      #expect(bench.whereabouts != nil)
    }
    #expect(bench.kernel.interfaces[0].sent.count == 20)
    #expect(bench.loop.waiting(at: 1) == 8)
    #expect(bench.loop.view.drops(.egressDown) == 12)
    #expect(bench.loop.view.dropBytes(.egressDown) == 12 * 60)
    #expect(bench.sum(.forwarded) == 28 && bench.sum(.dropped) == 12)
    bench.loop.setDown(false, 1)
    bench.settle()
    #expect(bench.kernel.interfaces[1].sent.count == 8)
    #expect(bench.whereabouts?["fill"] == 128)
  }

  /// The second fragment comes by one interface and waits for the first, which comes by the other.
  @Test func fragmentsMeetWhateverInterfaceTheyComeBy() throws {
    let bench = try Bench()
    let parts = FragmentTests.dns.fragments(of: 1480, identification: 9)
    for (part, ingress) in zip(parts.reversed(), [0, 1, 1]) {
      #expect(bench.kernel.interfaces[ingress].deliver(part))
      _ = bench.loop.turn(now: Tick(rawValue: 1))
    }
    #expect(!bench.isHolding)
    bench.drain()
    // Real server 6 is reached by the second interface, 5 by the first.
    let sent = bench.kernel.interfaces.map { $0.sent.count }
    #expect(sent == [0, parts.count] || sent == [parts.count, 0], "\(sent)")
    #expect(bench.sum(.held) == bench.sum(.released))
    bench.settle()
    #expect(bench.whereabouts?["fill"] == 128)
  }

  @Test(arguments: thinned(0..<24, to: 4))
  func framesAreConserved(_ seed: Int) throws {
    var chance = Seed(UInt64(seed))
    let bench = try Bench(
      entries: [16, 64, 128].randomElement(using: &chance)!,
      ringEntries: [4, 16, 64].randomElement(using: &chance)!,
      startIndex: [0, .max, .max - 5, .max - 40, 1 << 31].randomElement(using: &chance)!)
    let later = FragmentTests.dns.fragments(of: 1480, identification: 77)[1]
    var delivered = [0, 0]
    for step in 0..<600 {
      let number = Int.random(in: 0...1, using: &chance)
      let interface = bench.kernel.interfaces[number]
      switch Int.random(in: 0..<12, using: &chance) {
      case 0..<5:
        for _ in 0..<Int.random(in: 1...40, using: &chance) {
          let port = [80, 80, 81, 82, 8080].randomElement(using: &chance)!
          let source = UInt16.random(in: 1024...1100, using: &chance)
          let isLater = Int.random(in: 0..<16, using: &chance) == 0
          let frame = isLater ? later : Self.to(UInt16(port), from: source).frame
          guard interface.deliver(frame) else { break }
          delivered[number] += 1
        }
      case 5..<7: _ = bench.loop.turn(now: Tick(rawValue: UInt32(step) * 20))
      case 7..<10: interface.takeTransmit(budget: Int.random(in: 0...32, using: &chance))
      case 10: bench.loop.setDown(Int.random(in: 0..<3, using: &chance) == 0, number)
      default:
        for _ in 0..<Int.random(in: 0...20, using: &chance) where !interface.inFlight.isEmpty {
          interface.complete(at: Int.random(in: 0..<interface.inFlight.count, using: &chance))
        }
      }
      try #require(bench.whereabouts != nil, "seed \(seed), step \(step)")
    }
    for interface in 0...1 { bench.loop.setDown(false, interface) }
    bench.settle()
    #expect(bench.whereabouts?["fill"] == Int(bench.kernel.frameCount), "seed \(seed)")
    for interface in 0...1 {
      let count = bench.loop.counters(of: interface)
      #expect(count[.received] == UInt64(delivered[interface]), "seed \(seed)")
      #expect(
        count[.received] == count[.forwarded] + count[.answered] + count[.dropped], "seed \(seed)")
      let sent = bench.kernel.interfaces[interface].sent
      #expect(UInt64(sent.count) == count[.completed], "seed \(seed)")
      let macs = Set(sent.filter { $0[0] == 2 && $0[5] < 8 }.map { Array($0[6..<12]) })
      #expect(macs.isSubset(of: [Self.macs[interface].octets]), "seed \(seed)")
    }
    #expect(bench.sum(.completed) == bench.sum(.forwarded) + bench.sum(.answered), "seed \(seed)")
    #expect(bench.sum(.held) > 0 && bench.sum(.answered) > 0, "seed \(seed)")
  }
}
