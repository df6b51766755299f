// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// A worker whose receive ring is nearly full: which SYNs it lets in, and that it touches nothing
/// else.
@Suite struct AdmissionTests {
  private static let families = [PacketCaseTests.web, PacketCaseTests.webIPv6]

  /// A worker on a receive ring of 512 packets.
  private final class Bench {
    let kernel = SimulatedKernel(entries: 1024, ringEntries: 512)
    let snapshot: Snapshot
    var loop: WorkerLoop
    var now = Tick(rawValue: .max)

    init() throws {
      snapshot = try Snapshot(.site(), generation: 1)
      var generator = Seed(7)
      let forwarder = try Forwarder(
        ForwarderConfiguration(
          ipv4Entries: 1 << 16, ipv6Entries: 1 << 16, hashKey: HashKey(using: &generator)),
        now: now)
      loop = WorkerLoop(kernel.memories, forwarder: forwarder)
      loop.adopt(snapshot)
    }

    /// Lets the worker have `packets` and sends what it forwards; how many those are.
    func give(_ packets: [PacketBuilder]) -> Int {
      for packet in packets { #expect(kernel.deliver(packet.frame)) }
      while loop.turn(now: now) > 0 {
        kernel.takeTransmit(budget: 64)
        while !kernel.inFlight.isEmpty { kernel.complete(at: 0) }
      }
      return kernel.removeSent().count
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
    let known = segments(packet, 1..<9) + segments(packet, 1..<9, .ack)
    #expect(bench.give(known) == 16)
    // A full ring: in each batch of 64 eight packets of connections and 56 SYNs of strangers.
    let acks = segments(packet, 1..<9, .ack)
    var flood: [PacketBuilder] = []
    for batch in UInt16(0)..<8 {
      let first = 1000 + batch * 56
      flood += acks
      flood += segments(packet, first..<first + 56)
    }
    // 256 SYNs at once, and four for the eight packets of each batch after the first.
    #expect(bench.give(flood) == 64 + 256 + 7 * 4)
    #expect(bench.shed == 448 - 256 - 7 * 4)
    #expect(bench.loop.view.drops(.noConnection) == 0)
    // Whoever was sent away is let in with the next SYN: eight a millisecond.
    bench.now = bench.now.advanced(byMilliseconds: 1)
    #expect(bench.give(segments(packet, 2000..<2020)) == 8)
    bench.now = bench.now.advanced(byMilliseconds: 1)
    #expect(bench.give(segments(packet, 2008..<2016)) == 8)
    // A second later everyone is.
    bench.now = bench.now.advanced(byMilliseconds: 1000)
    let before = bench.shed
    #expect(bench.give(segments(packet, 3000..<3300)) == 300)
    #expect(bench.shed == before)
  }

  /// A stall: what waits is of clients that go on, of whom none is sent away.
  @Test func connectionsThatGoOnAreAllLetIn() throws {
    let bench = try Bench()
    let ways: [TCPFlags] = [.syn, .ack, [.ack, .psh], [.fin, .ack]]
    var sent = 0
    for round in UInt16(0)..<40 {
      let first = 1000 + round * 128
      let clients = ways.flatMap { segments(PacketCaseTests.web, first..<first + 128, $0) }
      sent += bench.give(clients)
    }
    #expect(bench.shed == 0 && sent == 40 * 512)
  }

  /// Only SYNs that no record knows are counted.
  @Test func othersAreLetThrough() throws {
    let bench = try Bench()
    #expect(bench.give(segments(PacketCaseTests.web, 1..<3)) == 2)
    #expect(bench.give(segments(PacketCaseTests.web, 1000..<1512)) == 256)
    #expect(bench.shed == 256)
    #expect(bench.give(segments(PacketCaseTests.web, 1..<3)) == 2, "their SYNs again")
    let questions = (0..<50).map { number in
      PacketCaseTests.dns.with { $0.sourcePort = Port(5000 + number) }
    }
    #expect(bench.give(questions) == 50)
    #expect(bench.give(segments(PacketCaseTests.web, 4000..<4005, .ack)) == 5, "each gets an RST")
    #expect(bench.loop.view.drops(.noConnection) == 5 && bench.shed == 256)
  }
}
