// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import TestSupport
import Testing

@testable import ControlPlane

/// A host with .151 on `rs0`, and a neighbour with .150 on the other end of the wire.
private struct Wire {
  let host: NetworkNamespace
  let peer: NetworkNamespace
  let directory = NSTemporaryDirectory() + "martinet-test-\(UUID())"

  init() throws {
    host = try NetworkNamespace()
    peer = try NetworkNamespace()
    try host.run(
      "ip", "link", "add", "rs0", "type", "veth", "peer", "name", "peer0", "netns", peer.path)
    for (namespace, interface, number) in [(host, "rs0", 151), (peer, "peer0", 150)] {
      try namespace.run("ip", "address", "add", "192.168.1.\(number)/24", "dev", interface)
      try namespace.run(
        "ip", "address", "add", "2001:db8::\(number)/64", "dev", interface, "nodad")
      try namespace.run("ip", "link", "set", interface, "up")
    }
  }

  func up(_ vips: String...) throws -> [String] {
    let (directory, vips) = (directory, vips.map { IPAddress($0)! })
    return try host.perform { try RealServerHost(directory: directory).up(vips) }
  }

  func down(_ vips: String...) throws -> [String] {
    let (directory, vips) = (directory, vips.map { IPAddress($0)! })
    return try host.perform { try RealServerHost(directory: directory).down(vips) }
  }

  func wrong(_ vips: String...) throws -> [RealServerHost.Finding] {
    let (directory, vips) = (directory, vips.map { IPAddress($0)! })
    return try host.perform {
      try RealServerHost(directory: directory).check(vips).filter { !$0.isRight }
    }
  }

  func sysctls() throws -> [String] {
    try ["all", "lo"].flatMap { interface in
      try ["arp_ignore", "arp_announce"].map {
        try host.run("cat", "/proc/sys/net/ipv4/conf/\(interface)/\($0)")
          .trimmingCharacters(in: .whitespacesAndNewlines)
      }
    }
  }

  /// Whether the host answers ARP or neighbour solicitations for an address.
  func answers(_ address: String) throws -> Bool {
    try peer.run("ip", "neighbour", "flush", "all")
    _ = try? peer.run("ping", "-c", "1", "-W", "1", address)
    return try peer.run("ip", "neighbour", "show", address).contains("lladdr")
  }

  func remove() { try? FileManager.default.removeItem(atPath: directory) }
}

@Suite(.requires(.root, .networkNamespaces, .commands("ip", "ping")))
struct RealServerHostTests {
  private static let ipv4 = "192.168.1.149"
  private static let ipv6 = "2001:db8::149"

  @Test func upOwnsTheVIPsAndKeepsSilent() throws {
    let wire = try Wire()
    defer { wire.remove() }
    // Without the sysctls the host does answer: the test can see it.
    try wire.host.run("ip", "address", "add", "\(Self.ipv4)/32", "dev", "lo")
    #expect(try wire.answers(Self.ipv4))
    try wire.host.run("ip", "address", "del", "\(Self.ipv4)/32", "dev", "lo")

    #expect(
      try wire.up(Self.ipv4, Self.ipv6) == [
        "set net.ipv4.conf.all.arp_ignore from 0 to 1",
        "set net.ipv4.conf.all.arp_announce from 0 to 2",
        "set net.ipv4.conf.lo.arp_ignore from 0 to 1",
        "set net.ipv4.conf.lo.arp_announce from 0 to 2",
        "added 192.168.1.149/32 to lo",
        "added 2001:db8::149/128 to lo",
      ])
    #expect(try wire.sysctls() == ["1", "2", "1", "2"])
    #expect(try wire.wrong(Self.ipv4, Self.ipv6).isEmpty)
    #expect(try wire.answers("192.168.1.151"))
    #expect(try wire.answers("2001:db8::151"))
    #expect(!(try wire.answers(Self.ipv4)))
    #expect(!(try wire.answers(Self.ipv6)))
  }

  @Test func upAndDownCanBeRepeated() throws {
    let wire = try Wire()
    defer { wire.remove() }
    _ = try wire.up(Self.ipv4, Self.ipv6)
    #expect(try wire.up(Self.ipv4, Self.ipv6).isEmpty)
    _ = try wire.up("192.168.1.148")
    #expect(try wire.down(Self.ipv4) == ["removed 192.168.1.149/32 from lo"])
    #expect(try wire.sysctls() == ["1", "2", "1", "2"])
    #expect(try wire.down("192.168.1.148").count == 5)
    #expect(try wire.sysctls() == ["0", "0", "0", "0"])
    #expect(try wire.down(Self.ipv6) == ["removed 2001:db8::149/128 from lo"])
    #expect(try wire.down(Self.ipv4, Self.ipv6).isEmpty)
    let left = try wire.host.run("ip", "address", "show", "dev", "lo")
    #expect(!left.contains(Self.ipv4) && !left.contains(Self.ipv6))
    let files = try FileManager.default.contentsOfDirectory(atPath: wire.directory)
    #expect(files.filter { $0.hasSuffix(".json") }.isEmpty)
  }

  @Test func downLeavesWhatOthersDid() throws {
    let wire = try Wire()
    defer { wire.remove() }
    try wire.host.run("ip", "address", "add", "\(Self.ipv4)/32", "dev", "lo")
    try wire.host.run("sh", "-c", "echo 2 > /proc/sys/net/ipv4/conf/all/arp_ignore")
    _ = try wire.up(Self.ipv4)
    #expect(try wire.sysctls() == ["2", "2", "1", "2"])
    try wire.host.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/lo/arp_announce")
    _ = try wire.down(Self.ipv4)
    #expect(try wire.sysctls() == ["2", "0", "0", "0"])
    #expect(try wire.host.run("ip", "address", "show", "dev", "lo").contains(Self.ipv4))
  }

  @Test func checkNamesWhatIsWrongAndHowToMendIt() throws {
    let wire = try Wire()
    defer { wire.remove() }
    try wire.host.run("ip", "address", "add", "\(Self.ipv4)/24", "dev", "rs0")
    let wrong = try wire.wrong(Self.ipv4)
    #expect(
      wrong.map(\.statement) == [
        "192.168.1.149/32 is not on lo",
        "192.168.1.149/24 dev rs0 answers for the VIP on the LAN",
        "net.ipv4.conf.all.arp_ignore is 0", "net.ipv4.conf.all.arp_announce is 0",
        "net.ipv4.conf.lo.arp_ignore is 0", "net.ipv4.conf.lo.arp_announce is 0",
      ])
    #expect(throws: RealServerHost.Failure.self) { try wire.up(Self.ipv4) }
    // Each mend mends.
    for mend in wrong.compactMap(\.mend) where !mend.hasPrefix("martinet") {
      try wire.host.run("sh", "-c", mend)
    }
    _ = try wire.up(Self.ipv4)
    #expect(try wire.wrong(Self.ipv4).isEmpty)
    try wire.host.run("sh", "-c", "echo 3 > /proc/sys/net/ipv4/conf/rs0/arp_ignore")
    #expect(
      try wire.wrong(Self.ipv4).map(\.mend) == ["sysctl -w net.ipv4.conf.rs0.arp_ignore=1"])
  }

  @Test func theLocalRouteComesBack() throws {
    let wire = try Wire()
    defer { wire.remove() }
    _ = try wire.up(Self.ipv4)
    try wire.host.run("ip", "route", "del", "local", Self.ipv4, "dev", "lo", "table", "local")
    let statement = "the kernel does not take 192.168.1.149 as its own"
    #expect(try wire.wrong(Self.ipv4).map(\.statement) == [statement])
    _ = try wire.up(Self.ipv4)
    #expect(try wire.wrong(Self.ipv4).isEmpty)
    _ = try wire.down(Self.ipv4)
    #expect(!(try wire.host.run("ip", "address", "show", "dev", "lo").contains(Self.ipv4)))
  }

  @Test(arguments: ["127.0.0.1", "::1", "224.0.0.5", "0.0.0.0", "ff02::1"])
  func whatIsNoVIPIsRefused(_ text: String) throws {
    let wire = try Wire()
    #expect(throws: RealServerHost.Failure.self) { try wire.up(text) }
    #expect(try wire.sysctls() == ["0", "0", "0", "0"])
  }
}
