// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import Logging
import TestSupport
import Testing

@testable import ControlPlane

/// A director with 192.168.1.150/24 and 2001:db8::150/64 on `lan`, a real server .151 on the same
/// wire, a gateway .1 that nobody is, and a second interface `other`.
private struct LAN {
  let director: NetworkNamespace
  let realServer: NetworkNamespace
  let neighbors: KernelNeighbors

  init(asksForManagement: Bool = true) throws {
    director = try NetworkNamespace()
    realServer = try NetworkNamespace()
    try director.run(
      "ip", "link", "add", "lan", "type", "veth", "peer", "name", "rs0", "netns",
      realServer.path)
    try director.run("ip", "link", "add", "other", "type", "veth", "peer", "name", "nobody")
    try director.run("ip", "link", "set", "nobody", "up")
    for (namespace, interface, host) in [(director, "lan", 150), (realServer, "rs0", 151)] {
      try namespace.run("ip", "address", "add", "192.168.1.\(host)/24", "dev", interface)
      try namespace.run(
        "ip", "address", "add", "2001:db8::\(host)/64", "dev", interface, "nodad")
      try namespace.run("ip", "link", "set", interface, "up")
    }
    try realServer.run("ip", "link", "set", "rs0", "address", "02:00:00:00:00:51")
    try director.run("ip", "link", "set", "other", "up")
    try director.run("ip", "address", "add", "192.168.2.150/24", "dev", "other")
    try director.run("ip", "route", "add", "10.0.0.0/8", "via", "192.168.1.1")
    neighbors = try director.perform {
      let index = Int32(if_nametoindex("lan"))
      return try KernelNeighbors(
        interfaceIndices: [index], logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        asksForManagement: asksForManagement)
    }
  }
}

@Suite(.serialized, .requires(.root, .networkNamespaces, .commands("ip")))
struct KernelNeighborsTests {
  @Test(arguments: ["192.168.1.151", "2001:db8::151"])
  func resolvesFollowsAndForgets(_ text: String) async throws {
    let lan = try LAN()
    defer { lan.neighbors.stop() }
    let address = try #require(IPAddress(text))
    let first = try lan.neighbors.follow(address)
    let answered = Neighbor(macAddress: MACAddress("02:00:00:00:00:51"), isResolved: true)
    var events = Events(lan.neighbors.events)
    if first != answered { #expect(await events.next(about: address) == answered) }
    #expect(try lan.director.run("ip", "neighbour", "show", text).contains("managed"))
    // Another card in the same host, which announces itself.
    try lan.realServer.run("ip", "link", "set", "rs0", "address", "02:00:00:00:00:77")
    try lan.director.run(
      "ip", "neighbour", "replace", text, "dev", "lan", "lladdr", "02:00:00:00:00:77", "nud",
      "reachable")
    let changed = Neighbor(macAddress: MACAddress("02:00:00:00:00:77"), isResolved: true)
    #expect(await events.next(about: address) == changed)
    lan.neighbors.unfollow(address)
    #expect(!(try lan.director.run("ip", "neighbour", "show", text).contains("managed")))
  }

  @Test func aSilentHostIsUnresolvedAndResolvesWhenItComes() async throws {
    let lan = try LAN()
    defer { lan.neighbors.stop() }
    let address = try #require(IPAddress("192.168.1.152"))
    #expect(
      try lan.neighbors.follow(address) == Neighbor(macAddress: nil, isResolved: false))
    var events = Events(lan.neighbors.events)
    try await Task.sleep(for: .seconds(1))
    try lan.realServer.run("ip", "address", "add", "192.168.1.152/24", "dev", "rs0")
    let answered = Neighbor(macAddress: MACAddress("02:00:00:00:00:51"), isResolved: true)
    #expect(await events.next(about: address) == answered)
    // It goes: the last address stays known.
    try lan.realServer.run("ip", "address", "del", "192.168.1.152/24", "dev", "rs0")
    try lan.director.run("ip", "neighbour", "del", "192.168.1.152", "dev", "lan")
    #expect(
      await events.next(about: address)
        == Neighbor(macAddress: MACAddress("02:00:00:00:00:51"), isResolved: false))
  }

  @Test func anEntryOfTheOperatorIsLeftAlone() async throws {
    let lan = try LAN()
    defer { lan.neighbors.stop() }
    try lan.director.run(
      "ip", "neighbour", "add", "192.168.1.153", "dev", "lan", "lladdr", "02:00:00:00:00:53")
    let address = try #require(IPAddress("192.168.1.153"))
    #expect(
      try lan.neighbors.follow(address)
        == Neighbor(macAddress: MACAddress("02:00:00:00:00:53"), isResolved: true))
    lan.neighbors.unfollow(address)
    let shown = try lan.director.run("ip", "neighbour", "show", "192.168.1.153")
    #expect(shown.contains("02:00:00:00:00:53 PERMANENT"))
  }

  @Test func whatIsNotOnTheLANIsRefused() throws {
    let lan = try LAN()
    defer { lan.neighbors.stop() }
    func follow(_ text: String) -> DirectorError? {
      do {
        _ = try lan.neighbors.follow(IPAddress(text)!)
        return nil
      } catch {
        return error
      }
    }
    #expect(
      follow("10.0.0.5")
        == .behindGateway(IPAddress("10.0.0.5")!, gateway: IPAddress("192.168.1.1")!))
    #expect(follow("192.168.1.150") == .ownAddress(IPAddress("192.168.1.150")!))
    #expect(follow("2001:db8::150") == .ownAddress(IPAddress("2001:db8::150")!))
    #expect(
      follow("192.168.2.9")
        == .otherInterface(IPAddress("192.168.2.9")!, interface: "other", expected: "lan"))
    #expect(follow("192.168.1.255") == .notUnicast(IPAddress("192.168.1.255")!))
    #expect(follow("203.0.113.1") == .noRoute(IPAddress("203.0.113.1")!))
    #expect(follow("2001:db8:1::1") == .noRoute(IPAddress("2001:db8:1::1")!))
  }

  /// Kernels before 5.16: asked again every five seconds, by us.
  @Test func withoutManagedEntriesASilentHostIsFoundWhenItComes() async throws {
    let lan = try LAN(asksForManagement: false)
    defer { lan.neighbors.stop() }
    let address = try #require(IPAddress("192.168.1.152"))
    #expect(try lan.neighbors.follow(address) == Neighbor(macAddress: nil, isResolved: false))
    var events = Events(lan.neighbors.events)
    // Longer than the kernel's own three tries of a second each.
    try await eventually {
      try lan.director.run("ip", "neighbour", "show", "192.168.1.152").contains("FAILED")
    }
    try lan.realServer.run("ip", "address", "add", "192.168.1.152/24", "dev", "rs0")
    let answered = Neighbor(macAddress: MACAddress("02:00:00:00:00:51"), isResolved: true)
    #expect(await events.next(about: address) == answered)
    #expect(!(try lan.director.run("ip", "neighbour", "show", "192.168.1.152").contains("managed")))
  }

  /// The kernel forgets all neighbours of a link that goes down.
  @Test func neighborsComeBackWithTheLink() async throws {
    let lan = try LAN()
    defer { lan.neighbors.stop() }
    let address = try #require(IPAddress("192.168.1.151"))
    let answered = Neighbor(macAddress: MACAddress("02:00:00:00:00:51"), isResolved: true)
    var events = Events(lan.neighbors.events)
    if try lan.neighbors.follow(address) != answered {
      #expect(await events.next(about: address) == answered)
    }
    for _ in 0..<3 {
      try lan.director.run("ip", "link", "set", "lan", "down")
      #expect(await events.next(about: address)?.isResolved == false)
      try lan.director.run("ip", "link", "set", "lan", "up")
      #expect(await events.next(about: address) == answered)
    }
  }

  /// Deleted by hand, and by the kernel when the interface gets another MAC address.
  @Test func aLostEntryIsAskedForAnewAtOnce() async throws {
    let lan = try LAN()
    defer { lan.neighbors.stop() }
    _ = try lan.neighbors.follow(try #require(IPAddress("192.168.1.151")))
    for loss in ["neighbour del 192.168.1.151 dev lan", "link set lan address 02:00:00:00:00:d2"] {
      let entry = { try lan.director.run("ip", "neighbour", "show", "192.168.1.151") }
      try await eventually { try entry().contains("managed REACHABLE") }
      try lan.director.run("sh", "-c", "ip \(loss)")
      // Sooner than the round of five seconds.
      try await eventually(within: .seconds(3)) { try entry().contains("managed REACHABLE") }
    }
  }

  @Test func theLinkIsWatched() async throws {
    let lan = try LAN()
    defer { lan.neighbors.stop() }
    try lan.realServer.run("ip", "link", "set", "rs0", "down")
    for await event in lan.neighbors.events {
      if case .link(0, _, _, isUp: false) = event { break }
    }
    try lan.realServer.run("ip", "link", "set", "rs0", "up")
    for await event in lan.neighbors.events {
      if case .link(0, _, _, isUp: true) = event { break }
    }
    try lan.director.run("ip", "link", "set", "lan", "address", "02:00:00:00:00:d2")
    for await event in lan.neighbors.events {
      if event == .link(0, MACAddress("02:00:00:00:00:d2")!, mtu: 1500, isUp: true) { break }
    }
    try lan.director.run("ip", "link", "set", "lan", "mtu", "1400")
    for await event in lan.neighbors.events {
      if event == .link(0, MACAddress("02:00:00:00:00:d2")!, mtu: 1400, isUp: true) { break }
    }
    try lan.director.run("ip", "link", "del", "lan")
    for await event in lan.neighbors.events {
      if event == .linkGone(0, name: "lan") { break }
    }
  }
}

/// The events about one address, with a limit in time.
private struct Events {
  private let stream: AsyncStream<NeighborEvent>

  init(_ stream: AsyncStream<NeighborEvent>) {
    self.stream = stream
  }

  /// nil if none comes within ten seconds: two of the kernel's rounds.
  mutating func next(about address: IPAddress) async -> Neighbor? {
    let stream = stream
    return await withTaskGroup(of: Neighbor?.self) { group in
      group.addTask {
        for await case .neighbor(address, let neighbor) in stream { return neighbor }
        return nil
      }
      group.addTask {
        try? await Task.sleep(for: .seconds(10))
        return nil
      }
      defer { group.cancelAll() }
      return await group.next() ?? nil
    }
  }
}
