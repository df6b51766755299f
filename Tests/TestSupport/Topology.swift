// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// The LVS-DR textbook network of `scripts/demo`: client 10.0.0.2 - router - LAN 192.168.1.0/24
/// (a bridge) with the director .150 and the real servers .151 and .152. IPv6 is fd00:10::/64
/// before the router and fd00:1::/64 behind it, with the same last number in each address.
public struct Lan {
  public static let vip = "192.168.1.149"
  public static let vip6 = "fd00:1::149"
  public static let directorMAC = mac(150)

  /// The bridge: its port towards a host has the host's name.
  public let fabric: Machine
  public let client: Machine
  public let router: Machine
  public let director: Machine
  /// .151 and .152.
  public let realServers: [Machine]

  /// - Parameter directorQueues: RX and TX queues of the director's interface and of its port.
  public init(directorQueues: Int = 1) throws {
    fabric = try Machine("lan")
    client = try Machine("client")
    router = try Machine("router")
    director = try Machine("director")
    realServers = [try Machine("rs1"), try Machine("rs2")]
    try fabric.run([
      "ip link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
      "ip link set bridge up",
    ])
    try plug(router, number: 1)
    try plug(director, number: 150, queues: directorQueues)
    try plug(realServers[0], number: 151)
    try plug(realServers[1], number: 152)
    try connectClient()
    try director.run([
      "ip address add \(Self.vip)/32 dev lan0", "ip address add \(Self.vip6)/128 dev lan0 nodad",
    ])
  }

  /// The MAC address of the host with this last number in its address.
  public static func mac(_ number: Int) -> MACAddress {
    MACAddress("02:00:00:00:01:" + hex(number))!
  }

  private static func hex(_ number: Int) -> String {
    (number < 16 ? "0" : "") + String(number, radix: 16)
  }

  /// Connects a host to the LAN as 192.168.1.`number` and fd00:1::`number`, by its `lan0`.
  public func plug(_ host: Machine, number: Int, queues: Int = 1) throws {
    try host.connect("lan0", to: host.name, of: fabric, queues: queues, mac: Self.mac(number))
    try fabric.ip("link set \(host.name) master bridge")
    let addresses = [
      "ip address add 192.168.1.\(number)/24 dev lan0",
      "ip address add fd00:1::\(number)/64 dev lan0 nodad",
    ]
    let routes = ["ip route add default via 192.168.1.1", "ip route add default via fd00:1::1"]
    try host.run(addresses + (number == 1 ? [] : routes))
  }

  private func connectClient() throws {
    try client.connect("wan0", to: "wan0", of: router)
    func addresses(_ number: Int) -> [String] {
      [
        "ip address add 10.0.0.\(number)/24 dev wan0",
        "ip address add fd00:10::\(number)/64 dev wan0 nodad",
      ]
    }
    let forwarding = "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
    let routes = ["ip route add default via 10.0.0.1", "ip route add default via fd00:10::1"]
    try router.run(addresses(1) + [forwarding])
    try client.run(addresses(2) + routes)
  }
}

/// The director alone on a cable whose far end the test holds: every frame is the test's own.
/// The real servers are permanent neighbours, so that nobody has to answer ARP.
public struct Wire {
  public static let directorMAC = MACAddress("02:00:00:00:02:d1")!
  public static let farMAC = MACAddress("02:00:00:00:02:c1")!

  public let director: Machine
  public let far: Machine

  /// - Parameter realServers: last numbers of 192.168.2.N and fd00:2::N that resolve.
  public init(queues: Int = 1, realServers: [Int] = [151, 152]) throws {
    director = try Machine("director")
    far = try Machine("far")
    try director.connect("lan0", to: "far0", of: far, queues: queues, mac: Self.directorMAC)
    try far.run("sysctl -qw net.ipv6.conf.far0.disable_ipv6=1")
    try far.ip("link set far0 address \(Self.farMAC)")
    try director.run(
      ["192.168.2.150/24", "fd00:2::150/64", "192.168.2.149/32", "fd00:2::149/128"].map {
        "ip address add \($0) dev lan0 nodad"
      })
    for number in realServers { try setMAC(Lan.mac(number), of: number) }
  }

  /// Makes `mac` the permanent neighbour entry of real server `number`.
  public func setMAC(_ mac: MACAddress, of number: Int) throws {
    try director.run(
      ["192.168.2.\(number)", "fd00:2::\(number)"].map {
        "ip neighbor replace \($0) lladdr \(mac) dev lan0 nud permanent"
      })
  }
}
