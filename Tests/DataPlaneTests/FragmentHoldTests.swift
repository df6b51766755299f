// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

@testable import DataPlane

/// Later fragments that come before their first one wait for it: for a bounded time, in a bounded
/// number of frames, each of which stays accounted for.
@Suite struct FragmentHoldTests {
  /// A worker's loop, the kernel that is played to it, and what it is to forward by.
  private final class Bench {
    let kernel: SimulatedKernel
    var loop: WorkerLoop
    private let snapshot: Snapshot

    init(entries: UInt32 = 64, ringEntries: UInt32 = 64, startIndex: UInt32 = 0) throws {
      kernel = SimulatedKernel(entries: entries, ringEntries: ringEntries, startIndex: startIndex)
      snapshot = try Snapshot(.site(), generation: 1)
      var generator = Seed(7)
      let forwarder = try Forwarder(
        ForwarderConfiguration(
          ipv4Entries: 256, ipv6Entries: 256, hashKey: HashKey(using: &generator)),
        now: Tick(rawValue: 0))
      loop = WorkerLoop(kernel.memories, forwarder: forwarder)
      loop.adopt(snapshot)
    }

    /// How many frames are where; nil if one is nowhere or in two places.
    var whereabouts: [String: Int]? {
      kernel.whereabouts(held: (0..<loop.pen.count).map { loop.pen.descriptors[$0].address })
    }

    /// Frames come in and all that is sent goes out.
    func turn(_ frames: [[UInt8]], at milliseconds: UInt32) {
      for frame in frames { #expect(kernel.deliver(frame)) }
      _ = loop.turn(now: Tick(rawValue: milliseconds))
      kernel.takeTransmit(budget: 1000)
      while !kernel.inFlight.isEmpty { kernel.complete(at: 0) }
      #expect(whereabouts != nil)
    }

    var isHolding: Bool { loop.isHolding }
    var capacity: Int { loop.pen.capacity }

    /// IP packets that went out so far, each behind the number of its real server.
    var sent: [[UInt8]] { kernel.sent.map { [$0[5]] + $0[12...] } }
  }

  private static func expected(_ frames: [[UInt8]], _ realServer: UInt8) -> [[UInt8]] {
    frames.map { [realServer] + $0[12...] }
  }

  /// The frames fit the played kernel's of 2048 octets.
  private static func parts(_ identification: UInt16 = 9) -> [[UInt8]] {
    FragmentTests.dns.with { $0.sourcePort = Port(identification) }
      .fragments(of: 1480, identification: identification)
  }

  @Test(arguments: [(FragmentTests.dns, UInt8(6)), (FragmentTests.webIPv6, UInt8(4))])
  func followTheirFirstInTheOrderInWhichTheyCame(
    _ packet: PacketBuilder, _ realServer: UInt8
  ) throws {
    let frames = packet.fragments(of: 1480, identification: 9)
    let order = [frames[2], frames[1], frames[0]]
    let oneByOne = try Bench()
    for (frame, milliseconds) in zip(order, UInt32(1)...) {
      oneByOne.turn([frame], at: milliseconds)
      #expect(oneByOne.isHolding == (milliseconds < 3))
    }
    let atOnce = try Bench()
    atOnce.turn(order, at: 1)
    let expected = Self.expected([frames[0], frames[2], frames[1]], realServer)
    #expect(oneByOne.sent == expected && atOnce.sent == expected)
    for count in [oneByOne.loop.counters(of: 0), atOnce.loop.counters(of: 0)] {
      #expect(count[.held] == 2 && count[.released] == 2)
      #expect(count[.received] == 3 && count[.forwarded] == 3 && count[.dropped] == 0)
    }
    #expect(oneByOne.loop.view.count(of: .laterFragment) == 2)
  }

  @Test func areGivenUpAfterASecond() throws {
    let bench = try Bench()
    let frames = Self.parts()
    bench.turn([frames[1]], at: 10)
    bench.turn([frames[2]], at: 500)
    bench.turn([], at: 1009)
    #expect(bench.whereabouts?["held"] == 2)
    bench.turn([], at: 1010)
    #expect(bench.whereabouts?["held"] == 1)
    #expect(bench.loop.view.drops(.fragmentUnmatched) == 1)
    #expect(bench.loop.view.dropBytes(.fragmentUnmatched) == UInt64(frames[1].count))
    bench.turn([frames[0]], at: 1499)
    #expect(bench.sent == Self.expected([frames[0], frames[2]], 6))
    #expect(bench.loop.counters(of: 0)[.dropped] == 1 && bench.loop.counters(of: 0)[.released] == 1)
  }

  /// Of 64 frames the pen takes four.
  @Test func theOldestMakesRoomInAFullPen() throws {
    let bench = try Bench()
    let datagrams = (UInt16(1)...6).map { Self.parts($0) }
    bench.turn(datagrams.map { $0[1] }, at: 1)
    #expect(bench.whereabouts?["held"] == 4 && bench.capacity == 4)
    #expect(bench.loop.view.drops(.fragmentPenFull) == 2)
    bench.turn(datagrams.map { $0[0] }, at: 2)
    #expect(bench.sent.count == 6 + 4)
    #expect(bench.sent.suffix(4).map { $0[1...] } == datagrams[2...].map { $0[1][12...] })
    #expect(bench.loop.counters(of: 0)[.held] == 6 && bench.loop.counters(of: 0)[.released] == 4)
  }

  /// As many frames as a queue has.
  @Test func sixtyFourAreHeldAtMost() throws {
    #expect(try Bench(entries: 4096).capacity == 64)
    #expect(try Bench(entries: 8, ringEntries: 8).capacity == 1)
  }

  /// Copies of one fragment and fragments that overlap cost their places in the pen, no more.
  @Test func copiesAndOverlapsAreBounded() throws {
    let bench = try Bench()
    let frames = Self.parts()
    var overlapping = frames[1]
    overlapping[21] -= 1
    for _ in 0..<20 { bench.turn([frames[1], overlapping], at: 1) }
    #expect(bench.whereabouts?["held"] == 4)
    bench.turn([frames[0], frames[0]], at: 2)
    #expect(bench.sent.count == 2 + 4)
    bench.turn([], at: 2)
    #expect(bench.whereabouts?["fill"] == 64)
    #expect(bench.loop.view.ipv4Connections == 1)
  }

  @Test func aFloodTakesNoMoreThanThePen() throws {
    let bench = try Bench(entries: 128)
    let syn = PacketCaseTests.web
    for number in UInt16(0)..<2000 {
      let later = FragmentTests.dns.fragments(of: 1480, identification: number)[2]
      bench.turn([later, syn.with { $0.sourcePort = Port(number) }.frame], at: UInt32(number) / 4)
    }
    bench.turn([], at: 500)
    #expect(bench.sent.count == 2000)
    #expect(bench.whereabouts == ["fill": 120, "held": 8].merging(Self.nowhere) { own, _ in own })
    #expect(bench.loop.view.drops(.fragmentPenFull) == 1992)
  }

  private static let nowhere = [
    "fill": 0, "held": 0, "receive": 0, "transmit": 0, "in flight": 0, "completion": 0,
  ]

  @Test func aFirstFragmentOfAnotherWorkerReleasesThemWithinAMillisecond() throws {
    let (first, second) = (try Bench(), try Bench())
    second.loop.join([first.loop.view])
    let frames = Self.parts()
    second.turn([frames[1]], at: 5)
    first.turn([frames[0]], at: 5)
    #expect(second.isHolding)
    second.turn([], at: 6)
    #expect(second.sent == Self.expected([frames[1]], 6))
    #expect(!second.isHolding)
  }

  @Test func aStopGivesThemBack() throws {
    let bench = try Bench()
    bench.turn(Self.parts().suffix(2), at: 1)
    #expect(bench.whereabouts?["held"] == 2)
    bench.loop.abandonHeld()
    #expect(bench.whereabouts?["fill"] == 64)
    #expect(bench.loop.view.drops(.fragmentUnmatched) == 2)
    #expect(bench.loop.counters(of: 0)[.dropped] == bench.loop.counters(of: 0)[.received])
  }

  /// Fragments of many datagrams in any order, some lost, some doubled, among whole packets, while
  /// the kernel is slow.
  @Test(arguments: 0..<16) func everyFrameStaysInOnePlace(_ seed: Int) throws {
    var chance = Seed(UInt64(seed))
    let bench = try Bench(
      entries: [16, 64, 256].randomElement(using: &chance)!,
      ringEntries: [4, 16, 64].randomElement(using: &chance)!,
      startIndex: [0, .max - 5, .max - 300].randomElement(using: &chance)!)
    var now: UInt32 = 1
    var delivered: UInt64 = 0
    for step in 0..<800 {
      switch Int.random(in: 0..<8, using: &chance) {
      case 0..<4:
        let frames = Self.parts(UInt16.random(in: 0..<40, using: &chance))
        let whole = PacketCaseTests.web.with { $0.sourcePort = Port(UInt16(step)) }.frame
        for frame in (frames + [whole]).shuffled(using: &chance).prefix(3) {
          if bench.kernel.deliver(frame) { delivered += 1 }
        }
      case 4..<6:
        now += UInt32.random(in: 0...300, using: &chance)
        _ = bench.loop.turn(now: Tick(rawValue: now))
      case 6:
        bench.kernel.takeTransmit(budget: Int.random(in: 0...8, using: &chance))
      default:
        while !bench.kernel.inFlight.isEmpty, Bool.random(using: &chance) {
          bench.kernel.complete(
            at: Int.random(in: 0..<bench.kernel.inFlight.count, using: &chance))
        }
      }
      try #require(bench.whereabouts != nil, "seed \(seed), step \(step)")
    }
    for _ in 0..<300 { bench.turn([], at: now + 2000) }
    let count = bench.loop.counters(of: 0)
    #expect(bench.whereabouts?["fill"] == Int(bench.kernel.frameCount), "seed \(seed)")
    #expect(count[.received] == delivered, "seed \(seed)")
    #expect(count[.forwarded] + count[.dropped] == count[.received], "seed \(seed)")
    #expect(UInt64(bench.sent.count) == count[.forwarded], "seed \(seed)")
    let givenUp =
      bench.loop.view.drops(.fragmentUnmatched) + bench.loop.view.drops(.fragmentPenFull)
    #expect(count[.held] == count[.released] + givenUp, "seed \(seed)")
    #expect(count[.released] > 0 && givenUp > 0, "seed \(seed)")
  }
}
