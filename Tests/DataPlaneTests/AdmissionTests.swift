// SPDX-License-Identifier: Apache-2.0
import CXDP
import TestSupport
import Testing

@testable import DataPlane

/// A worker whose receive ring is nearly full and the eBPF program, run by the kernel on frames of
/// ours: which SYNs they let in, and that they touch nothing else.
@Suite(.requires(.root, .networkNamespaces, .xdpSockets), .serialized)
struct AdmissionTests {
  private static let families = [PacketCaseTests.web, PacketCaseTests.webIPv6]

  /// A worker on a receive ring of 512 packets, which gets what the program lets in.
  private final class Bench {
    let kernel = SimulatedKernel(entries: 1024, ringEntries: 512)
    let program: ProgramFixture
    let snapshot: Snapshot
    var loop: WorkerLoop
    /// Of the worker: far ahead of the program's, for which no limit ends by itself.
    var now = Tick.now().advanced(byMilliseconds: 3_600_000)

    init() throws {
      program = try ProgramFixture(socket: true)
      snapshot = try Snapshot(.site(), generation: 1)
      var generator = Seed(7)
      let forwarder = try Forwarder(
        ForwarderConfiguration(
          ipv4Entries: 1 << 16, ipv6Entries: 1 << 16, hashKey: HashKey(using: &generator)),
        now: now)
      var memory = kernel.memories[0]
      memory.admission = program.program.admissions[0]
      loop = WorkerLoop([memory], forwarder: forwarder)
      loop.adopt(snapshot)
    }

    /// Sends `packets` and lets the worker have those that are let in; how many those are. All of
    /// them are forwarded.
    func give(_ packets: [PacketBuilder]) throws -> Int {
      var admitted = 0
      for packet in packets {
        let action = try program.run(packet.frame)
        guard action == XDP_REDIRECT else {
          #expect(action == XDP_DROP)
          continue
        }
        admitted += 1
        #expect(kernel.deliver(packet.frame))
      }
      turn()
      #expect(kernel.removeSent().count == admitted)
      return admitted
    }

    func turn() {
      while loop.turn(now: now) > 0 {
        kernel.takeTransmit(budget: 64)
        while !kernel.inFlight.isEmpty { kernel.complete(at: 0) }
      }
    }

    /// Sends SYNs until the program lets none in.
    func exhaust(_ packet: PacketBuilder) throws {
      let strangers = (10_000..<10_300).map { number in
        packet.with { $0.sourcePort = Port(number) }
      }
      while try give(strangers) > 0 {}
    }

    func advance(milliseconds: UInt32) {
      now = now.advanced(byMilliseconds: milliseconds)
      turn()
    }

    var shed: UInt64 { loop.view.drops(.overloaded) }
  }

  private func segments(
    _ packet: PacketBuilder, _ ports: Range<UInt16>, _ flags: TCPFlags = .syn
  ) -> [PacketBuilder] {
    ports.map { port in
      packet.with {
        $0.sourcePort = Port(port)
        $0.tcpFlags = flags
      }
    }
  }

  @Test(arguments: families) func aFloodIsCutAndConnectionsAreNot(
    _ packet: PacketBuilder
  ) throws {
    let bench = try Bench()
    #expect(try bench.give(segments(packet, 1..<10) + segments(packet, 1..<10, .ack)) == 18)
    #expect(try bench.give(segments(packet, 1000..<1512)) == 512, "a full ring")
    #expect(bench.shed == 0)
    let acks = segments(packet, 1..<10, .ack)
    #expect(try bench.give(acks + segments(packet, 2000..<2400)) == 9 + 256, "SYNs at once")
    #expect(bench.shed == 400 - 256)
    #expect(bench.loop.view.dropBytes(.overloaded) == bench.shed * UInt64(packet.frame.count))
    try bench.exhaust(packet)
    let before = bench.shed
    #expect(try bench.give(acks) == 9)
    #expect(try bench.give(segments(packet, 3000..<3020)) == 0, "old connections pay for none")
    #expect(try bench.give(segments(packet, 2000..<2003, .ack)) == 3)
    #expect(try bench.give(segments(packet, 4000..<4020)) == 6, "two for each new connection")
    #expect(bench.shed == before + 20 + 14)
    try bench.exhaust(packet)
    bench.advance(milliseconds: 1)
    #expect(try bench.give(segments(packet, 5000..<5020)) == 8, "free in a millisecond")
  }

  /// Twice as many are free after each second in which some were dropped.
  @Test func theLimitEndsWithASecondWithoutDrops() throws {
    let bench = try Bench()
    let web = PacketCaseTests.web
    #expect(try bench.give(segments(web, 1000..<1512)) == 512)
    for free in [16, 32] {
      try bench.exhaust(web)
      bench.advance(milliseconds: 1000)
      try bench.exhaust(web)
      bench.advance(milliseconds: 1)
      #expect(try bench.give(segments(web, 2000..<2100)) == free)
    }
    bench.advance(milliseconds: 1000)
    #expect(try bench.give(segments(web, 3000..<3300)) == 256, "some were dropped")
    bench.advance(milliseconds: 1000)
    bench.advance(milliseconds: 1000)
    let before = bench.shed
    #expect(try bench.give(segments(web, 4000..<4300)) == 300)
    #expect(bench.shed == before)
  }

  /// As for a worker that was held up once and can bear the flood.
  @Test func theLimitEndsInAFloodThatGoesOn() throws {
    let bench = try Bench()
    #expect(try bench.give(segments(PacketCaseTests.web, 1000..<1512)) == 512)
    for _ in 0..<8 {
      try bench.exhaust(PacketCaseTests.web)
      bench.advance(milliseconds: 1000)
    }
    #expect(try bench.give(segments(PacketCaseTests.web, 2000..<2300)) == 300)
  }

  /// A stall: what waits is of clients that go on, of whom none is sent away.
  @Test func connectionsThatGoOnAreAllLetIn() throws {
    let bench = try Bench()
    let ways: [TCPFlags] = [.syn, .ack, [.ack, .psh], [.fin, .ack]]
    var sent = 0
    for round in UInt16(0)..<10 {
      let first = 1000 + round * 128
      let clients = ways.flatMap { segments(PacketCaseTests.web, first..<first + 128, $0) }
      sent += try bench.give(clients)
    }
    #expect(bench.shed == 0 && sent == 10 * 512)
  }
}

extension AdmissionTests {
  private static let web = DirectorProgramTests.web
  private static let tag = DirectorProgramTests.tag

  /// What opens a TCP connection, by the bits that LVS goes by.
  private static let opening = [
    web, DirectorProgramTests.web6, web.with { $0.vlanTags = [tag] },
    DirectorProgramTests.web6.with { $0.vlanTags = [DirectorProgramTests.serviceTag, tag] },
    web.with { $0.options = [UInt8](repeating: 1, count: 40) },
    DirectorProgramTests.web6.with { $0.extensionHeaders = [(60, [0, 0, 1, 4, 0, 0, 0, 0])] },
    web.with { $0.tcpFlags = [.syn, .ack] }, web.with { $0.tcpFlags = [.syn, .fin] },
    web.with { $0.tcpFlags = TCPFlags(rawValue: 0xc2) },
  ]

  private static let others = [
    web.with { $0.tcpFlags = .ack }, web.with { $0.tcpFlags = [] },
    web.with { $0.tcpFlags = [.fin, .ack] }, web.with { $0.tcpFlags = [.syn, .rst] },
    DirectorProgramTests.dns, DirectorProgramTests.signalling,
    web.with { $0.fragmentField = 0x2000 },
  ]

  @Test func underALimitOnlySYNsNeedLeave() throws {
    let fixture = try ProgramFixture(socket: true)
    let cell = AdmissionCell(fixture.program.admissions[0])
    cell.limit(until: .now().advanced(byMilliseconds: 3_600_000))
    var (packets, octets) = (UInt64(0), UInt64(0))
    for packet in Self.opening {
      #expect(try fixture.run(packet.frame) == XDP_DROP, "\(packet)")
      (packets, octets) = (packets + 1, octets + UInt64(packet.frame.count))
      #expect(cell.dropped == packets && cell.octets == octets)
    }
    #expect(fixture.program.counters == ProgramCounters())
    for packet in Self.others {
      #expect(try fixture.run(packet.frame) == XDP_REDIRECT, "\(packet)")
    }
    let cut = Array(Self.web.with { $0.minimumBytes = 0 }.frame.prefix(14 + 20 + 19))
    #expect(try fixture.run(cut) == XDP_REDIRECT, "less than a TCP header: the worker's to count")
    let foreign = Self.web.with { $0.destinationPort = Port(22) }
    #expect(try fixture.run(foreign.frame) == XDP_PASS)
    #expect(cell.dropped == packets)
    cell.grant(2, atMost: 256)
    for action in [XDP_REDIRECT, XDP_REDIRECT, XDP_DROP] {
      #expect(try fixture.run(Self.web.frame) == action)
    }
    cell.grant(1000, atMost: 3)
    for action in [XDP_REDIRECT, XDP_REDIRECT, XDP_REDIRECT, XDP_DROP] {
      #expect(try fixture.run(Self.web.frame) == action)
    }
    cell.lift()
    #expect(try fixture.run(Self.web.frame) == XDP_REDIRECT)
  }

  /// One that the worker has left behind, and one of another queue, limit nobody.
  @Test func aLimitEndsByItself() throws {
    let fixture = try ProgramFixture(socket: true)
    let cell = AdmissionCell(fixture.program.admissions[0])
    cell.limit(until: .now())
    #expect(try fixture.run(Self.web.frame) == XDP_REDIRECT)
    AdmissionCell(fixture.program.admissions[1])
      .limit(until: .now().advanced(byMilliseconds: 3_600_000))
    #expect(try fixture.run(Self.web.frame) == XDP_REDIRECT)
    #expect(cell.dropped == 0)
  }
}
