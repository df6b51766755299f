// SPDX-License-Identifier: Apache-2.0
import CXDP
import TestSupport
import Testing

@testable import DataPlane

/// One line of the specification of which frames leave the kernel for a worker.
struct SteeringCase: Sendable, CustomTestStringConvertible {
  enum Fate: Sendable { case worker, kernel }

  var says: String
  var frame: [UInt8]
  var fate: Fate
  var counted: ProgramCounters

  init(_ says: String, _ frame: [UInt8], _ fate: Fate, _ counted: ProgramCounters) {
    self.says = says
    self.frame = frame
    self.fate = fate
    self.counted = counted
  }

  init(_ says: String, _ packet: PacketBuilder, _ fate: Fate, _ counted: ProgramCounters) {
    self.init(says, packet.frame, fate, counted)
  }

  var testDescription: String { says }
}

/// The eBPF program run by the kernel on frames of ours (BPF_PROG_TEST_RUN).
@Suite(.requires(.root, .networkNamespaces, .xdpSockets), .serialized)
struct DirectorProgramTests {
  static let web = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149")
  static let web6 = PacketBuilder(from: "2001:db8:1::1", to: "2001:db8::149")
  static let dns = web.with {
    $0.ipProtocol = .udp
    $0.destinationPort = Port(53)
  }
  static let signalling = web.sctp(sctpChunk(1)).with { $0.destinationPort = Port(2905) }
  static let tag: (EtherType, UInt16) = (.vlan, 0x6064)
  static let serviceTag: (EtherType, UInt16) = (.serviceVLAN, 0x0007)

  private static func icmp(_ type: UInt8) -> PacketBuilder {
    web.with {
      $0.ipProtocol = .icmp
      $0.payload = [type, 0] + [UInt8](repeating: 0, count: 34)
    }
  }

  private static func icmp6(_ type: UInt8) -> PacketBuilder {
    web6.with {
      $0.ipProtocol = .icmpv6
      $0.payload = [type, 0] + [UInt8](repeating: 0, count: 46)
    }
  }

  private static func patched(_ packet: PacketBuilder, _ offset: Int, _ octet: UInt8) -> [UInt8] {
    var frame = packet.frame
    frame[offset] = octet
    return frame
  }

  private static let hopByHop: (UInt8, [UInt8]) = (0, [0, 0, 1, 4, 0, 0, 0, 0])
  private static let service = ProgramCounters(services: 1)
  private static let fragment = ProgramCounters(fragments: 1)
  private static let error = ProgramCounters(icmpErrors: 1)
  private static let malformed = ProgramCounters(malformed: 1)
  private static let otherHost = ProgramCounters(otherHost: 1)
  private static let none = ProgramCounters()

  static let services = [
    SteeringCase("TCP to a service", web, .worker, service),
    SteeringCase("UDP to a service", dns, .worker, service),
    SteeringCase("SCTP to a service", signalling, .worker, service),
    SteeringCase("TCP over IPv6", web6, .worker, service),
    SteeringCase("one tag", web.with { $0.vlanTags = [tag] }, .worker, service),
    SteeringCase("two tags", web6.with { $0.vlanTags = [serviceTag, tag] }, .worker, service),
    SteeringCase(
      "the most IPv4 options", web.with { $0.options = [UInt8](repeating: 1, count: 40) },
      .worker, service),
    SteeringCase(
      "eight extension headers, the last one long",
      web6.with {
        $0.extensionHeaders =
          .init(repeating: hopByHop, count: 7) + [(60, [0, 1] + [UInt8](repeating: 0, count: 14))]
      }, .worker, service),
    SteeringCase(
      "another port of the VIP", web.with { $0.destinationPort = Port(22) }, .kernel, none),
    SteeringCase("UDP to a TCP service's port", web.with { $0.ipProtocol = .udp }, .kernel, none),
    SteeringCase("SCTP to a TCP service's port", web.sctp(sctpChunk(1)), .kernel, none),
    SteeringCase(
      "SCTP over IPv6 behind options",
      web6.sctp(sctpChunk(1)).with {
        $0.destinationPort = Port(2905)
        $0.extensionHeaders = [hopByHop]
      }, .worker, service),
    SteeringCase(
      "another address", PacketBuilder(from: "10.0.0.1", to: "192.168.1.1"), .kernel, none),
    SteeringCase("three tags", web.with { $0.vlanTags = [tag, tag, tag] }, .kernel, none),
    SteeringCase(
      "a frame that a switch flooded", web.with { $0.destinationMAC = .realServer(1) },
      .kernel, otherHost),
    SteeringCase(
      "a broadcast", web.with { $0.destinationMAC = MACAddress("ff:ff:ff:ff:ff:ff")! },
      .kernel, otherHost),
  ]

  static let unsteadyOnes = [
    SteeringCase("a first fragment", web.with { $0.fragmentField = 0x2000 }, .worker, fragment),
    SteeringCase("a later fragment", web.with { $0.fragmentField = 0x00b9 }, .worker, fragment),
    SteeringCase(
      "a later fragment of SCTP", signalling.with { $0.fragmentField = 0x00b9 }, .worker,
      fragment),
    SteeringCase(
      "an IPv6 fragment",
      web6.with { $0.extensionHeaders = [(44, [0, 0, 0, 8, 0, 0, 0, 9])] }, .worker, fragment),
    SteeringCase(
      "a fragment of an echo request", icmp(8).with { $0.fragmentField = 0x2000 }, .kernel, none),
    SteeringCase(
      "a fragment to an address that is no VIP",
      PacketBuilder(from: "10.0.0.1", to: "192.168.1.1").with { $0.fragmentField = 0x2000 },
      .kernel, none),
    SteeringCase("destination unreachable", icmp(3), .worker, error),
    SteeringCase("source quench", icmp(4), .worker, error),
    SteeringCase("time exceeded", icmp(11), .worker, error),
    SteeringCase("parameter problem", icmp(12), .worker, error),
    SteeringCase("an echo request", icmp(8), .kernel, none),
    SteeringCase("an ICMP redirect", icmp(5), .kernel, none),
    SteeringCase("packet too big", icmp6(2), .worker, error),
    SteeringCase("an IPv6 echo request", icmp6(128), .kernel, none),
    SteeringCase("a neighbour solicitation", icmp6(135), .kernel, none),
    SteeringCase(
      "an ICMP error for another address",
      icmp(3).with { $0.destination = IPAddress("192.168.1.1")! }, .kernel, none),
    SteeringCase(
      "ARP",
      web.destinationMAC.octets + web.sourceMAC.octets + [8, 6]
        + [UInt8](repeating: 0, count: 46), .kernel, none),
    SteeringCase(
      "a protocol of its own", web.with { $0.ipProtocol = IPProtocol(rawValue: 112) },
      .kernel, none),
  ]

  static let malformedOnes = [
    SteeringCase("version 5 under the IPv4 type", patched(web, 14, 0x55), .kernel, malformed),
    SteeringCase("IHL of four words", patched(web, 14, 0x44), .kernel, malformed),
    SteeringCase("version 4 under the IPv6 type", patched(web6, 14, 0x40), .kernel, malformed),
    SteeringCase("an Ethernet header alone", Array(web.frame[0..<14]), .kernel, none),
    SteeringCase(
      "half a tag", Array(web.with { $0.vlanTags = [tag] }.frame[0..<16]), .kernel, none),
    SteeringCase("half an IPv4 header", Array(web.frame[0..<33]), .kernel, none),
    SteeringCase("half an IPv6 header", Array(web6.frame[0..<53]), .kernel, none),
    SteeringCase("half the ports", Array(web.frame[0..<37]), .kernel, malformed),
    SteeringCase("half the IPv6 ports", Array(web6.frame[0..<57]), .kernel, malformed),
    SteeringCase("an IHL beyond the frame", patched(web, 14, 0x4f), .kernel, malformed),
    SteeringCase(
      "an ICMP header that is not there", Array(icmp(3).frame[0..<34]), .kernel, malformed),
    SteeringCase(
      "an extension header beyond the frame",
      web6.with { $0.extensionHeaders = [(0, [0, 255, 0, 0, 0, 0, 0, 0])] }, .kernel, malformed),
    SteeringCase(
      "nine extension headers",
      web6.with { $0.extensionHeaders = .init(repeating: hopByHop, count: 9) }, .kernel, malformed),
    SteeringCase(
      "all of one half a header to another address",
      Array(PacketBuilder(from: "10.0.0.1", to: "192.168.1.1").frame[0..<37]), .kernel, none),
  ]

  @Test(arguments: services + unsteadyOnes + malformedOnes)
  func steering(_ steeringCase: SteeringCase) throws {
    let fixture = try ProgramFixture.shared.get()
    let before = fixture.program.counters
    let action = try fixture.run(steeringCase.frame)
    #expect(action == (steeringCase.fate == .worker ? XDP_REDIRECT : XDP_PASS))
    #expect(fixture.program.counters - before == steeringCase.counted)
  }

  /// Types that a worker gets: of IPv4 four of RFC 792, of IPv6 all errors (RFC 4443 §2.1).
  @Test func everyTypeOfICMP() throws {
    let fixture = try ProgramFixture.shared.get()
    for type in UInt8.min...UInt8.max {
      let isError = [3, 4, 11, 12].contains(type)
      #expect(try fixture.run(Self.icmp(type).frame) == (isError ? XDP_REDIRECT : XDP_PASS))
      #expect(try fixture.run(Self.icmp6(type).frame) == (type < 128 ? XDP_REDIRECT : XDP_PASS))
    }
  }

  /// A length between the end of the ports and the whole frame makes no difference here: what is
  /// missing is the worker's to count.
  @Test(arguments: [web, dns, web6]) func everyTruncation(_ packet: PacketBuilder) throws {
    let fixture = try ProgramFixture.shared.get()
    let frame = packet.with { $0.minimumBytes = 0 }.frame
    let portsEnd = packet.destination.isIPv6 ? 58 : 38
    for length in 14...frame.count {
      let action = try fixture.run(Array(frame[0..<length]))
      #expect(action == (length < portsEnd ? XDP_PASS : XDP_REDIRECT), "\(length) octets")
    }
  }

  @Test func aQueueWithoutSocketDropsAndCounts() throws {
    let program = try ProgramFixture(socket: false)
    #expect(try program.run(Self.web.frame) == XDP_DROP)
    #expect(program.program.counters == ProgramCounters(withoutSocket: 1))
    #expect(try program.run(Self.web.with { $0.destinationPort = Port(81) }.frame) == XDP_PASS)
  }

  @Test func aRemovedServiceIsTheKernelsAndItsVIPStaysForTheOthers() throws {
    let fixture = try ProgramFixture(socket: false)
    try fixture.close(.web)
    try fixture.close(.signalling)
    #expect(try fixture.run(Self.web.frame) == XDP_PASS)
    #expect(try fixture.run(Self.icmp(3).frame) == XDP_DROP, "DNS is still there")
    try fixture.close(.dns)
    try fixture.close(.dns)
    #expect(try fixture.run(Self.icmp(3).frame) == XDP_PASS)
    try fixture.open(.dns)
    try fixture.open(.dns)
    #expect(try fixture.run(Self.icmp(3).frame) == XDP_DROP)
    try fixture.close(.dns)
    #expect(try fixture.run(Self.icmp(3).frame) == XDP_PASS, "inserting twice is inserting once")
  }
}

extension DirectorProgramTests {
  private static func ports(
    _ range: ClosedRange<UInt16>, of address: String = "192.168.1.149",
    _ ipProtocol: IPProtocol = .tcp
  ) -> VirtualPorts {
    VirtualPorts(
      address: IPAddress(address)!, ipProtocol: ipProtocol,
      ports: Port(range.lowerBound)...Port(range.upperBound))
  }

  /// The ports of a packet's VIP and protocol that do not reach the kernel.
  private func taken(_ fixture: ProgramFixture, _ packet: PacketBuilder) throws -> [UInt16] {
    let edges: [UInt16] = [0, 1, 62, 63, 64, 65, 79, 80, 81, 127, 128, 443, 1000, 65534, 65535]
    return try edges.filter { port in
      try fixture.run(packet.with { $0.destinationPort = Port(port) }.frame) == XDP_DROP
    }
  }

  /// Edges of ranges and of the words that hold them; neighbours of any kind stay the kernel's.
  @Test func rangesOfPorts() throws {
    let fixture = try ProgramFixture(socket: false)
    #expect(try taken(fixture, Self.web) == [80])
    try fixture.open(Self.ports(63...64))
    try fixture.open(Self.ports(79...127))
    try fixture.open(Self.ports(81...128))
    #expect(try taken(fixture, Self.web) == [63, 64, 79, 80, 81, 127, 128])
    #expect(try taken(fixture, Self.dns).isEmpty)
    #expect(try taken(fixture, Self.web6) == [80])
    let neighbour = PacketBuilder(from: "10.0.0.1", to: "192.168.1.148")
    #expect(try taken(fixture, neighbour).isEmpty)
    try fixture.close(Self.ports(79...127))
    #expect(try taken(fixture, Self.web) == [63, 64, 80, 81, 127, 128])
    try fixture.close(.web)
    try fixture.close(Self.ports(81...128))
    try fixture.close(Self.ports(63...64))
    #expect(try taken(fixture, Self.web).isEmpty)
  }

  @Test func allPorts() throws {
    let fixture = try ProgramFixture(socket: false)
    try fixture.open(Self.ports(0...65535, .udp))
    try fixture.open(Self.ports(0...65535, of: "2001:db8::149"))
    #expect(try taken(fixture, Self.dns).count == 15)
    #expect(try taken(fixture, Self.web6).count == 15)
    #expect(try taken(fixture, Self.web) == [80])
    try fixture.open(Self.ports(65535...65535))
    #expect(try taken(fixture, Self.web) == [80, 65535])
    try fixture.close(Self.ports(0...65535, of: "2001:db8::149"))
    #expect(try taken(fixture, Self.web6) == [80])
  }

  /// A VIP whose only service has all ports gets its fragments and ICMP errors, and loses them.
  @Test func aVIPOfAllPortsIsAVIP() throws {
    let fixture = try ProgramFixture(socket: false)
    let error = Self.icmp(3).with { $0.destination = IPAddress("192.168.1.148")! }
    #expect(try fixture.run(error.frame) == XDP_PASS)
    try fixture.open(Self.ports(0...65535, of: "192.168.1.148"))
    #expect(try fixture.run(error.frame) == XDP_DROP)
    try fixture.setMACAddress(.realServer(1))
    let web = Self.web.with {
      $0.destination = IPAddress("192.168.1.148")!
      $0.destinationMAC = .realServer(1)
    }
    #expect(try fixture.run(web.frame) == XDP_DROP)
    try fixture.close(Self.ports(0...65535, of: "192.168.1.148"))
    #expect(try fixture.run(error.with { $0.destinationMAC = .realServer(1) }.frame) == XDP_PASS)
    #expect(try fixture.run(web.frame) == XDP_PASS)
  }
}

/// Services are found by a slot that their key is hashed to; one whose slot is another's is found
/// all the same.
extension DirectorProgramTests {
  private static func bySlot(_ services: [VirtualPorts]) -> [UInt32: [VirtualPorts]] {
    Dictionary(grouping: services, by: \.mapKey.slot)
  }

  private static func services(_ count: UInt16, of address: String) -> [VirtualPorts] {
    (1...count).map { ports($0...$0, of: address) }
  }

  private func takes(_ fixture: ProgramFixture, _ ports: VirtualPorts) throws -> Bool {
    let from = ports.address.isIPv6 ? "2001:db8:1::1" : "10.0.0.1"
    let packet = PacketBuilder(from: from, to: "\(ports.address)").with {
      $0.destinationPort = ports.ports.lowerBound
    }
    return try fixture.run(packet.frame) == XDP_DROP
  }

  @Test(arguments: ["192.168.7.1", "2001:db8::7"])
  func servicesThatShareASlot(_ address: String) throws {
    let fixture = try ProgramFixture(socket: false)
    let shared = Self.bySlot(Self.services(4000, of: address)).values.filter { $0.count > 1 }
    let (first, second) = try #require(shared.first.map { ($0[0], $0[1]) })
    func taken() throws -> [Bool] { [try takes(fixture, first), try takes(fixture, second)] }
    try fixture.open(first)
    #expect(try taken() == [true, false])
    try fixture.open(second)
    #expect(try taken() == [true, true])
    try fixture.close(first)
    #expect(try taken() == [false, true])
    try fixture.open(first)
    #expect(try taken() == [true, true])
    try fixture.close(second)
    #expect(try taken() == [true, false])
    try fixture.close(second)
    try fixture.close(first)
    #expect(try taken() == [false, false])
  }

  /// Opened and closed at random, a third of them on shared slots: what is open is taken, what is
  /// not is the kernel's.
  @Test func servicesComeAndGo() throws {
    let fixture = try ProgramFixture(socket: false)
    let services = Self.services(4000, of: "192.168.7.1") + Self.services(4000, of: "2001:db8::7")
    let shared = Self.bySlot(services).values.filter { $0.count > 1 }.flatMap { $0 }
    let subjects = Array(shared.prefix(100)) + Array(services.prefix(200))
    var random = Seed(7)
    var open: Set<VirtualPorts> = []
    for step in 1...2000 {
      let ports = subjects.randomElement(using: &random)!
      if open.contains(ports) {
        try fixture.close(ports)
        open.remove(ports)
      } else {
        try fixture.open(ports)
        open.insert(ports)
      }
      guard step % 500 == 0 else { continue }
      for each in subjects { #expect(try takes(fixture, each) == open.contains(each), "\(each)") }
    }
  }

  /// Of n services in m slots, n - m (1 - (1 - 1/m)^n) share one with an earlier one if the hash is
  /// as good as chance: of 4096, 126, with a standard deviation of 11.
  @Test func slotsAreSpread() {
    let sets: [String: [VirtualPorts]] = [
      "ports": Self.services(4096, of: "192.168.7.1"),
      "IPv6 ports": Self.services(4096, of: "2001:db8::7"),
      "VIPs": (0..<4096).map { Self.ports(80...80, of: "10.1.\($0 / 256).\($0 % 256)") },
      "IPv6 VIPs": (0..<4096).map { Self.ports(80...80, of: "2001:db8::\(String($0, radix: 16))") },
      "networks": (0..<4096).map {
        Self.ports(80...80, of: "2001:db8:\(String($0, radix: 16))::1")
      },
      "VIPs and ports": (0..<4096).map {
        Self.ports(UInt16(8000 + $0 % 64)...UInt16(8000 + $0 % 64), of: "10.1.1.\($0 / 64)")
      },
    ]
    for (name, services) in sets {
      let displaced = services.count - Self.bySlot(services).count
      #expect(displaced < 126 + 5 * 11, "\(name)")
    }
  }
}

extension IPAddress {
  fileprivate var isIPv6: Bool { if case .v6 = self { true } else { false } }
}

extension ProgramCounters {
  fileprivate static func - (left: Self, right: Self) -> Self {
    Self(
      services: left.services - right.services, fragments: left.fragments - right.fragments,
      icmpErrors: left.icmpErrors - right.icmpErrors,
      withoutSocket: left.withoutSocket - right.withoutSocket,
      otherHost: left.otherHost - right.otherHost, malformed: left.malformed - right.malformed)
  }
}
