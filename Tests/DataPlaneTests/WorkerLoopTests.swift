// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// The worker's turn against a kernel that is played by seed: every frame is always in exactly one
/// place, and what goes out is what came in.
@Suite struct WorkerLoopTests {
  private func makeLoop(_ kernel: SimulatedKernel, _ snapshot: Snapshot) throws -> WorkerLoop {
    var generator = Seed(7)
    let forwarder = try Forwarder(
      ForwarderConfiguration(
        ipv4Entries: 256, ipv6Entries: 256, hashKey: HashKey(using: &generator)),
      now: Tick(rawValue: 0))
    let loop = WorkerLoop(kernel.memories, forwarder: forwarder)
    loop.adopt(snapshot)
    return loop
  }

  @Test func everyFrameIsGivenToTheKernelAtFirst() throws {
    let kernel = SimulatedKernel()
    let snapshot = try Snapshot(.site(), generation: 1)
    let loop = try makeLoop(kernel, snapshot)
    #expect(kernel.whereabouts?["fill"] == 64)
    #expect(loop.wakeups(of: 0) == [])
  }

  @Test func aForwardedPacketGoesOutAndItsFrameComesBack() throws {
    let kernel = SimulatedKernel()
    let snapshot = try Snapshot(.site(), generation: 1)
    var loop = try makeLoop(kernel, snapshot)
    let syn = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149").frame
    #expect(kernel.deliver(syn))
    #expect(loop.turn(now: Tick(rawValue: 1)) == 1)
    #expect(loop.wakeups(of: 0) == .transmit)
    #expect(kernel.whereabouts?["transmit"] == 1)
    kernel.takeTransmit(budget: 32)
    #expect(loop.wakeups(of: 0) == [])
    #expect(
      kernel.sent == [MACAddress.realServer(2).octets + MACAddress.director.octets + syn[12...]])
    kernel.complete(at: 0)
    #expect(loop.turn(now: Tick(rawValue: 2)) == 0)
    #expect(kernel.whereabouts?["fill"] == 64)
  }

  /// A kernel that takes nothing: the loop stops receiving rather than lose a frame.
  @Test func aFullTransmitRingHoldsPacketsInTheReceiveRing() throws {
    let kernel = SimulatedKernel(entries: 64, ringEntries: 8)
    let snapshot = try Snapshot(.site(), generation: 1)
    var loop = try makeLoop(kernel, snapshot)
    let syn = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149").frame
    for _ in 0..<4 {
      for _ in 0..<8 { _ = kernel.deliver(syn) }
      _ = loop.turn(now: Tick(rawValue: 1))
    }
    #expect(kernel.whereabouts?["transmit"] == 8)
    #expect(kernel.received == 8)
    #expect(loop.counters(of: 0)[.transmitFull] > 0)
    kernel.takeTransmit(budget: 3)
    #expect(loop.turn(now: Tick(rawValue: 2)) == 3)
    #expect(kernel.whereabouts != nil)
  }

  private static let siteWithAnEmptyService: SnapshotSpecification = {
    var site = SnapshotSpecification.site()
    var key = VirtualServiceKey.web
    key.port = Port(8080)
    site.services.append(
      .init(
        index: ServiceIndex(rawValue: 4), key: key, scheduler: .rr, revision: 1, realServers: []))
    return site
  }()

  @Test(arguments: 0..<24)
  func framesAreConserved(_ seed: Int) throws {
    var chance = Seed(UInt64(seed))
    let starts: [UInt32] = [0, .max, .max - 5, .max - 40, 1 << 31]
    let kernel = SimulatedKernel(
      entries: [16, 64, 128].randomElement(using: &chance)!,
      ringEntries: [4, 16, 64].randomElement(using: &chance)!,
      startIndex: starts.randomElement(using: &chance)!)
    let snapshot = try Snapshot(Self.siteWithAnEmptyService, generation: 1)
    var loop = try makeLoop(kernel, snapshot)
    let good = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149")
    var delivered: [UInt16: Int] = [80: 0, 81: 0, 8080: 0]
    for step in 0..<600 {
      switch Int.random(in: 0..<10, using: &chance) {
      case 0..<5:
        for _ in 0..<Int.random(in: 1...40, using: &chance) {
          let port = delivered.keys.sorted().randomElement(using: &chance)!
          let packet = good.with {
            $0.destinationPort = Port(port)
            $0.sourcePort = Port(UInt16.random(in: 1024...1100, using: &chance))
          }
          guard kernel.deliver(packet.frame) else { break }
          delivered[port]! += 1
        }
      case 5..<7:
        _ = loop.turn(now: Tick(rawValue: UInt32(step)))
      case 7..<9:
        // 0 is a sendto that answers EAGAIN.
        kernel.takeTransmit(budget: Int.random(in: 0...32, using: &chance))
      default:
        for _ in 0..<Int.random(in: 0...20, using: &chance) where !kernel.inFlight.isEmpty {
          kernel.complete(at: Int.random(in: 0..<kernel.inFlight.count, using: &chance))
        }
      }
      try #require(kernel.whereabouts != nil, "seed \(seed), step \(step)")
    }
    settle(kernel, &loop)
    #expect(kernel.whereabouts?["fill"] == Int(kernel.frameCount), "seed \(seed)")
    let count = loop.counters(of: 0)
    #expect(count[.received] == UInt64(delivered.values.reduce(0, +)), "seed \(seed)")
    #expect(count.batchSizes.total == count[.batches] && count.batchSizes.sum == count[.received])
    #expect(count[.forwarded] == UInt64(delivered[80]!), "seed \(seed)")
    #expect(loop.view.drops(.noService) == UInt64(delivered[81]!), "seed \(seed)")
    #expect(loop.view.drops(.noRealServer) == UInt64(delivered[8080]!), "seed \(seed)")
    #expect(count[.answered] == loop.view.count(of: .portUnreachable))
    #expect(count[.answered] > 0)
    #expect(UInt64(kernel.sent.count) == count[.forwarded] + count[.answered], "seed \(seed)")
    #expect(count[.forwarded] + count[.answered] + count[.dropped] == count[.received])
  }

  /// Lets everything that is under way come to rest.
  private func settle(_ kernel: SimulatedKernel, _ loop: inout WorkerLoop) {
    for _ in 0..<200 {
      _ = loop.turn(now: Tick(rawValue: 1000))
      kernel.takeTransmit(budget: 1000)
      while !kernel.inFlight.isEmpty { kernel.complete(at: 0) }
    }
  }
}
