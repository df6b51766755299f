// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// The decision on whole frames.
@Suite struct ForwarderTests {
  @Test func aSynIsScheduledAndOnlyTheMACAddressesChange() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    let syn = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149")
    let result = desk.forward(syn)
    #expect(result.verdict == .forward(0))
    #expect(Array(result.frame[0..<6]) == MACAddress.realServer(2).octets)
    #expect(Array(result.frame[6..<12]) == MACAddress.director.octets)
    #expect(Array(result.frame[12...]) == Array(syn.frame[12...]))
  }

  @Test func aConnectionStaysOnItsRealServer() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    let syn = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149")
    let chosen = desk.forward(syn).frame[0..<6]
    for flags in [TCPFlags.ack, [.ack, .psh], .ack] {
      let result = desk.forward(syn.with { $0.tcpFlags = flags })
      #expect(result.verdict.isForward)
      #expect(result.frame[0..<6] == chosen)
    }
  }

  /// ip_vs_ctl.c adds to the head of the list, so the one added last is chosen first.
  @Test func roundRobinGoesRoundFromTheHead() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    let chosen = (0..<4).map { client in
      desk.forward(
        PacketBuilder(from: "10.0.0.1", to: "192.168.1.149").with {
          $0.sourcePort = Port(UInt16(40000 + client))
        }
      ).frame[5]
    }
    #expect(chosen == [2, 1, 2, 1])
  }

  @Test func aSegmentWithoutConnectionIsDropped() throws {
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    let ack = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149").with { $0.tcpFlags = .ack }
    #expect(desk.forward(ack).verdict.answer == .reset)
    #expect(desk.view.drops(.noConnection) == 1)
  }
}
