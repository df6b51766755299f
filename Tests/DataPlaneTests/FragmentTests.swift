// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// Later fragments go where their first one went (RFC 791 §3.2, RFC 8200 §4.5).
@Suite struct FragmentTests {
  static let dns = PacketCaseTests.dns.with { $0.payload = .init(repeating: 7, count: 4000) }
  static let webIPv6 = PacketCaseTests.webIPv6.with {
    $0.payload = .init(repeating: 7, count: 4000)
  }

  private func desk() throws -> ForwarderDesk {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    return desk
  }

  /// Where each frame went, 0 where it was dropped.
  private func realServers(_ desk: ForwarderDesk, _ frames: [[UInt8]]) -> [UInt8] {
    desk.forward(frames).map { $0.verdict.isForward ? $0.frame[5] : 0 }
  }

  @Test(arguments: [(dns, [6, 5]), (webIPv6, [4, 3])]) func followTheFirst(
    _ packet: PacketBuilder, _ expected: [UInt8]
  ) throws {
    let desk = try desk()
    for (client, realServer) in zip(UInt16(1)..., expected) {
      let frames = packet.with { $0.sourcePort = Port(client) }
        .fragments(of: 1480, identification: client)
      #expect(realServers(desk, frames) == [realServer, realServer, realServer])
      // Later ones of the same datagram, twice and out of order, one by one.
      for frame in frames.dropFirst().reversed() {
        #expect(realServers(desk, [frame]) == [realServer])
      }
      let statistics = desk.view.statistics(of: RealServerIndex(rawValue: UInt16(realServer)))
      #expect(statistics.packets == 5 && statistics.connections == 1)
    }
    #expect(desk.view.count(of: .firstFragment) == 2)
    #expect(desk.view.count(of: .laterFragment) == 8)
  }

  @Test func onlyTheMACAddressesChange() throws {
    let desk = try desk()
    let frames = Self.dns.fragments(of: 1480, identification: 9)
    for (result, frame) in zip(desk.forward(frames), frames) {
      #expect(result.verdict == .forward(0))
      #expect(result.frame[12...] == frame[12...])
    }
  }

  /// A note is for (source, destination, protocol, identification) and no other datagram.
  @Test func othersDatagramsDoNotFollow() throws {
    let desk = try desk()
    let frames = Self.dns.fragments(of: 1480, identification: 9)
    #expect(realServers(desk, [frames[0]]) == [6])
    let others = [
      Self.dns.fragments(of: 1480, identification: 10),
      Self.dns.with { $0.source = IPAddress("10.0.0.2")! }.fragments(of: 1480, identification: 9),
      Self.dns.with { $0.destination = IPAddress("192.168.1.148")! }
        .fragments(of: 1480, identification: 9),
      Self.dns.with { $0.ipProtocol = .tcp }.fragments(of: 1480, identification: 9),
    ]
    for other in others { #expect(desk.forward([other[1]])[0].verdict == .hold) }
    #expect(realServers(desk, [frames[2]]) == [6])
  }

  @Test func aNoteIsForgottenAfterThirtySeconds() throws {
    let desk = try desk()
    let frames = Self.dns.fragments(of: 1480, identification: 9)
    #expect(realServers(desk, [frames[0]]) == [6])
    desk.advance(seconds: 29)
    #expect(realServers(desk, [frames[1]]) == [6])
    desk.advance(seconds: 2)
    #expect(desk.forward([frames[1]])[0].verdict == .hold)
  }

  /// To be asked about again: nothing is counted yet, and no octet changes.
  @Test func aLaterFragmentThatComesFirstIsHeld() throws {
    let desk = try desk()
    let frames = Self.dns.fragments(of: 1480, identification: 9)
    let results = desk.forward([frames[2], frames[0], frames[1]])
    #expect(results.map(\.verdict) == [.hold, .forward(0), .forward(0)])
    #expect(results[0].frame == frames[2] && results[0].verdict.dropReason == nil)
    #expect(desk.view.count(of: .laterFragment) == 1)
    #expect(DropReason.allCases.allSatisfy { desk.view.drops($0) == 0 })
    #expect(realServers(desk, [frames[2]]) == [6])
  }

  /// A NIC may hash the first fragment by its ports and later ones without.
  @Test func aNoteOfAnotherWorkerIsFollowed() throws {
    let (owner, other) = (try desk(), try desk())
    other.forwarder.join([owner.view])
    for packet in [Self.dns, Self.webIPv6] {
      let frames = packet.fragments(of: 1480, identification: 9)
      #expect(other.forward([frames[1]])[0].verdict == .hold)
      let realServer = realServers(owner, [frames[0]])
      #expect(realServers(other, Array(frames.dropFirst())) == realServer + realServer)
    }
    #expect(other.view.count(of: .laterFragment) == 4)
    #expect(other.view.ipv4Connections == 0)
  }

  /// Small datagrams hash by ports, fragments without: the flow may live on another worker.
  @Test func aFlowOfAnotherWorkerIsFollowed() throws {
    let (owner, other) = (try desk(), try desk())
    other.forwarder.join([owner.view])
    _ = owner.forward(Self.dns.with { $0.sourcePort = Port(1) })
    #expect(owner.forward(Self.dns.with { $0.payload = [] }).frame[5] == 5)
    let frames = Self.dns.fragments(of: 1480, identification: 9)
    #expect(realServers(other, frames) == [5, 5, 5])
    #expect(other.view.ipv4Connections == 0)
  }

  @Test func aRemovedRealServerGetsNoMoreFragmentsAndItsIndexIsFreed() throws {
    let desk = try desk()
    let frames = Self.dns.fragments(of: 1480, identification: 9)
    #expect(realServers(desk, [frames[0]]) == [6])
    var site = SnapshotSpecification.site()
    site.services[2].realServers = [.number(5)]
    site.retirements = [RealServerIndex(rawValue: 6): .removed]
    try desk.adopt(site)
    #expect(realServers(desk, [frames[1]]) == [0])
    #expect(desk.view.drops(.realServerRemoved) == 1)
    site.retirements = [RealServerIndex(rawValue: 6): .retired]
    try desk.adopt(site)
    desk.sweepAll()
    #expect(desk.view.sweptGeneration == desk.generation)
    try desk.adopt(.site())
    #expect(desk.forward([frames[1]])[0].verdict == .hold, "the index belongs to another now")
  }

  /// A flood of first fragments costs notes and nothing else, and says so.
  @Test func aFloodExhaustsNothing() throws {
    let desk = try desk()
    let flood = Self.dns.with { $0.payload = .init(repeating: 7, count: 24) }
    for identification in UInt16(0)..<16384 {
      desk.advance(seconds: 0.001)
      let frames = flood.fragments(of: 16, identification: identification)
      #expect(realServers(desk, Array(frames.prefix(2))) == [6, 6])
    }
    #expect(desk.view.ipv4Connections == 1)
    #expect(desk.view.count(of: .fragmentEvicted) == 16384 - 4096)
    let old = flood.fragments(of: 16, identification: 3)
    #expect(realServers(desk, [old[1]]) == [0])
    #expect(realServers(desk, [old[0]]) == [6])
  }
}
