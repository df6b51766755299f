// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

@testable import DataPlane

/// Frames of Fixtures/fuzz/packets, whole, cut and mutated, to a worker's loop: it never traps,
/// loses no frame, and sends nothing but what came, with other MAC addresses, or an answer to it.
///
/// For a long run: `MARTINET_FUZZ_SECONDS=600 swift test --filter FuzzTests` (see `Fuzz`).
@Suite struct PacketFuzzTests {
  private let fuzz: Fuzz
  private let worker: Worker

  init() throws {
    fuzz = try Fuzz("packets")
    worker = try Worker()
  }

  @Test func filesOfTheCorpus() {
    #expect(fuzz.corpus.count > 80)
    for (name, octets) in fuzz.corpus { worker.take(octets, name) }
    worker.checkFrames()
  }

  @Test func filesCutAtEveryLength() {
    for (name, octets) in fuzz.corpus {
      for length in 0..<octets.count { worker.take(Array(octets[..<length]), "\(name): \(length)") }
    }
    worker.checkFrames()
  }

  @Test func mutations() throws {
    try fuzz.mutations(seeds: [1, 2, 3], inputs: 5000, limit: 1600) { worker.take($0, $1) }
    worker.checkFrames()
    // Neither fate is left out.
    let count = worker.loop.counters(of: 0)
    #expect(count[.forwarded] > count[.received] / 20 && count[.dropped] > count[.received] / 20)
    #expect(count[.held] > 0 && count[.released] > 0 && count[.answered] > 0)
  }

  /// A loop with connections, its kernel, and a clock that goes on a millisecond with each frame.
  private final class Worker {
    var loop: WorkerLoop
    private let kernel = SimulatedKernel(entries: 64, ringEntries: 64)
    private let snapshot: Snapshot
    private var now = Tick(rawValue: 1000)
    /// What was held in the last second, from the EtherType on.
    private var held: [ArraySlice<UInt8>] = []

    init() throws {
      var site = SnapshotSpecification.site()
      var unserved = VirtualServiceKey.web
      unserved.port = Port(8080)
      site.services.append(
        .init(
          index: ServiceIndex(rawValue: 4), key: unserved, scheduler: .rr, revision: 1,
          realServers: []))
      snapshot = try Snapshot(site, generation: 1)
      var generator = Seed(7)
      let forwarder = try Forwarder(
        ForwarderConfiguration(
          ipv4Entries: 256, ipv6Entries: 256, hashKey: HashKey(using: &generator)), now: now)
      loop = WorkerLoop(kernel.memories, forwarder: forwarder)
      loop.adopt(snapshot)
      for packet in [PacketCaseTests.web, PacketCaseTests.webIPv6, PacketCaseTests.dns] {
        take(packet.frame, "a new connection")
      }
    }

    func take(_ frame: [UInt8], _ words: String) {
      let before = (held: loop.counters(of: 0)[.held], answered: loop.counters(of: 0)[.answered])
      guard kernel.deliver(frame) else { return fail("\(words): a frame was lost") }
      now = now.advanced(byMilliseconds: 1)
      _ = loop.turn(now: now)
      kernel.takeTransmit(budget: 64)
      while !kernel.inFlight.isEmpty { kernel.complete(at: 0) }
      if loop.counters(of: 0)[.held] > before.held { held.append(frame.dropFirst(12)) }
      if held.count > 1000 { held.removeFirst() }
      for sent in kernel.removeSent() {
        let packet = sent.dropFirst(12)
        let isAnswer =
          loop.counters(of: 0)[.answered] > before.answered && sent.starts(with: frame[6..<12])
        let isForwarded =
          (packet == frame.dropFirst(12) || held.contains(packet))
          && sent[6..<12].elementsEqual(MACAddress.director.octets)
          && (1...6).contains { sent.starts(with: MACAddress.realServer($0).octets) }
        if !isForwarded && !isAnswer { fail("\(words): sent \(sent)") }
      }
    }

    /// An expectation that costs nothing while it is met.
    private func fail(_ words: String) { Issue.record("\(words)") }

    func checkFrames() {
      let addresses = (0..<loop.pen.count).map { loop.pen.descriptors[$0].address }
      #expect(kernel.whereabouts(held: addresses) != nil)
      let count = loop.counters(of: 0)
      let decided = count[.forwarded] + count[.answered] + count[.dropped]
      #expect(count[.received] == decided + UInt64(loop.pen.count))
    }
  }
}
