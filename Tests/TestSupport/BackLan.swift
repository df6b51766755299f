// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// A second LAN of a director with two arms: 192.168.3.0/24 and fd00:3::/64 by its `lan1`, with the
/// real servers .153 and .154, and `Lan`'s router, by which these answer.
public struct BackLan {
  public static let directorMAC = mac(150)

  /// The bridge: its port towards a host has the host's name.
  public let fabric: Machine
  /// .153 and .154.
  public let realServers: [Machine]

  /// - Parameter directorQueues: RX and TX queues of the director's interface and of its port.
  public init(behind lan: Lan, directorQueues: Int = 1) throws {
    fabric = try Machine("back")
    realServers = [try Machine("rs3"), try Machine("rs4")]
    try fabric.run([
      "ip link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
      "ip link set bridge up",
    ])
    try plug(lan.router, "lan1", number: 1)
    try plug(lan.director, "lan1", number: 150, queues: directorQueues)
    for (host, number) in zip(realServers, 153...) {
      try plug(host, "lan0", number: number)
      try host.run([
        "ip route add default via 192.168.3.1", "ip route add default via fd00:3::1",
      ])
    }
  }

  /// The MAC address of the host with this last number in its address.
  public static func mac(_ number: UInt8) -> MACAddress {
    MACAddress(rawValue: 0x0200_0000_0300 | UInt64(number))
  }

  private func plug(
    _ host: Machine, _ interface: String, number: Int, queues: Int = 1
  ) throws {
    try host.connect(
      interface, to: host.name, of: fabric, queues: queues, mac: Self.mac(UInt8(number)))
    try fabric.ip("link set \(host.name) master bridge")
    try host.run([
      "ip address add 192.168.3.\(number)/24 dev \(interface)",
      "ip address add fd00:3::\(number)/64 dev \(interface) nodad",
    ])
  }
}
