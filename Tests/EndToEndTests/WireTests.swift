// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import TestSupport
import Testing

/// Frame by frame: the test holds the other end of the director's cable.
extension EndToEnd {
  @Suite(.serialized) struct WireTests {
    private static let service = "-t 192.168.2.149:80"
    private static let service6 = "-t [fd00:2::149]:80"

    private let wire: Wire
    private let tap: FrameTap

    init() throws {
      wire = try Wire()
      tap = try wire.far.tap("far0")
    }

    private static func request(_ port: UInt16, flags: TCPFlags = .syn) -> PacketBuilder {
      PacketBuilder(from: "10.0.0.2", to: "192.168.2.149").with {
        $0.destinationMAC = Wire.directorMAC
        $0.sourceMAC = Wire.farMAC
        $0.sourcePort = Port(port)
        $0.tcpFlags = flags
        $0.payload = flags == .syn ? [] : Array("GET / HTTP/1.1\r\n\r\n".utf8)
      }
    }

    /// What the director made of a frame: nil when it sent nothing.
    private func forwarded(
      _ packet: PacketBuilder, on tap: FrameTap? = nil, seconds: Double = 3
    ) throws -> [UInt8]? {
      let tap = tap ?? self.tap
      let frame = packet.frame
      try tap.send(frame)
      return tap.next(seconds: seconds) { seen in
        !seen.isOutgoing && seen.octets.dropFirst(12).elementsEqual(frame.dropFirst(12))
      }?.octets
    }

    @Test func onlyTheAddressesOfTheLinkChange() throws {
      let director = try RunningDirector(on: wire.director)
      try director.serve(Self.service, ["192.168.2.151", "192.168.2.152"])
      try director.serve(Self.service6, ["[fd00:2::151]:80", "[fd00:2::152]:80"])
      let plain = Self.request(4001).with { $0.timeToLive = 1 }
      let packets = [
        plain,
        plain.with { $0.options = [7, 7, 4, 0, 0, 0, 0, 0] },
        plain.with { $0.vlanTags = [(.vlan, 0x6123)] },
        plain.with { $0.vlanTags = [(.serviceVLAN, 100), (.vlan, 0x0fff)] },
        plain.with {
          $0.source = IPAddress("fd00:10::2")!
          $0.destination = IPAddress("fd00:2::149")!
        },
      ]
      for (packet, port) in zip(packets, UInt16(4001)...) {
        let packet = packet.with { $0.sourcePort = Port(port) }
        let frame = try #require(try forwarded(packet), "\(packet)")
        #expect([Lan.mac(151).octets, Lan.mac(152).octets].contains(Array(frame[..<6])))
        #expect(Array(frame[6..<12]) == Wire.directorMAC.octets)
        #expect(frame[12...] == packet.frame[12...])
      }
    }

    @Test func aMACChangeReachesALiveFlowAtOnce() throws {
      let director = try RunningDirector(on: wire.director)
      try director.serve(Self.service, ["192.168.2.151"])
      let syn = try #require(try forwarded(Self.request(4001)))
      #expect(Array(syn[..<6]) == Lan.mac(151).octets)
      let newMAC = Lan.mac(77)
      try wire.setMAC(newMAC, of: 151)
      let reached = try waitUntil(seconds: 2) {
        try forwarded(Self.request(4001, flags: .ack))?.starts(with: newMAC.octets) == true
      }
      #expect(reached)
      #expect(try director.realServersOf(Self.service).map(\.statistics.connections) == [1])
    }

    @Test func hostileFramesAreCountedAndForwardingGoesOn() throws {
      let director = try RunningDirector(on: wire.director)
      try director.serve(Self.service, ["192.168.2.151"])
      let good = Self.request(4001, flags: .syn).frame
      for length in 14..<good.count { try tap.send(Array(good[..<length])) }
      var generator = Seed(7)
      for _ in 0..<500 {
        var bad = good
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
          bad[Int.random(in: 12..<54, using: &generator)] = .random(in: 0...255, using: &generator)
        }
        try tap.send(bad)
      }
      #expect(try forwarded(Self.request(4002)) != nil)
      #expect(director.process.wait(seconds: 0) == nil, "\(director.process.output)")
    }

    @Test func withoutALiveRealServerNothingIsForwardedAndTheReasonCounted() throws {
      let director = try RunningDirector(on: wire.director)
      try director.ipvsadm("-A \(Self.service) -s rr")
      #expect(try forwarded(Self.request(4001), seconds: 0.5) == nil)
      #expect(try forwarded(Self.request(4001, flags: .ack), seconds: 0.5) == nil)
      let drops = try director.queues().map(\.drops)
      #expect(drops.reduce(0) { $0 + ($1["noRealServer"] ?? 0) } == 1, "\(drops)")
      #expect(drops.reduce(0) { $0 + ($1["noConnection"] ?? 0) } == 1, "\(drops)")
    }

    @Test(arguments: ["native", "generic"]) func flowsOnTwoQueuesAreAnswered(mode: String) throws {
      let wire = try Wire(queues: 2)
      let tap = try wire.far.tap("far0")
      let director = try RunningDirector(on: wire.director, ["--copy", "--xdp-mode", mode])
      try director.serve(Self.service, ["192.168.2.151", "192.168.2.152"])
      for port in UInt16(4001)...4064 {
        #expect(try forwarded(Self.request(port), on: tap) != nil, "port \(port)")
      }
      let counts = try director.realServersOf(Self.service).map(\.statistics.connections)
      #expect(counts.reduce(0, +) == 64)
      let received = try director.queues().map { $0.worker["received"] }
      #expect(received.count == 2)
      #expect(received.reduce(0) { $0 + ($1 ?? 0) } == 64)
      // A veth tells the generic hook no queue, so that all is queue 0 (veth_xmit).
      #expect(received.allSatisfy { $0 != 0 } == (mode == "native"), "\(received)")
    }
  }
}
