// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc
import TestSupport
import Testing

/// The test network without a director: what the other tests take for granted.
@Suite(.serialized, .requires(.root, .networkNamespaces, .commands("ip", "ethtool", "nsenter")))
struct TopologyTests {
  @Test func everyHostOfTheLanIsReached() throws {
    let lan = try Lan()
    for address in [
      "192.168.1.150", Lan.vip, "192.168.1.151", "192.168.1.152",
      "[fd00:1::150]", "[\(Lan.vip6)]", "[fd00:1::151]",
    ] {
      #expect(try lan.client.curl("http://\(address):9/") == .refused, "\(address)")
    }
    #expect(try lan.client.curl("http://192.168.1.77:9/", seconds: 1) != .refused)
  }

  @Test func aTapSeesFramesAsTheyWereSentWithTheirTags() throws {
    let near = try Machine("near")
    let far = try Machine("far")
    try near.connect("near0", to: "far0", of: far)
    let (sender, receiver) = (try near.tap("near0"), try far.tap("far0"))
    let plain = PacketBuilder(from: "192.0.2.1", to: "192.0.2.2")
    let one = plain.with { $0.vlanTags = [(.vlan, 7)] }
    let two = plain.with { $0.vlanTags = [(.serviceVLAN, 0x2007), (.vlan, 9)] }
    for packet in [plain, one, two] {
      try sender.send(packet.frame)
      let frame = receiver.next { $0.octets.starts(with: packet.destinationMAC.octets) }
      #expect(frame == FrameTap.Frame(octets: packet.frame, isOutgoing: false))
    }
  }

  @Test func aProgramThatHangsIsEnded() throws {
    let host = try Machine("host")
    var child: Child? = try host.start(["sleep", "60"])
    let pid = try #require(child?.pid)
    #expect(child?.wait(seconds: 0.1) == nil)
    child = nil
    #expect(kill(pid, 0) == -1)
    #expect(throws: Failure.self) { try host.run("sleep 60", seconds: 0.1) }
    #expect(try host.finish(["sh", "-c", "exit 3"]).ending == .exit(3))
  }
}
