// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import DataPlane
import Foundation
import TestSupport
import Testing

/// A director on two LANs: requests come in by either, and each real server is reached by its own.
extension EndToEnd {
  @Suite(.serialized) struct TwoArmsTests {
    /// The textbook LAN and a second one, both with real servers that answer.
    private struct Site {
      static let web = ["192.168.1.151", "192.168.3.153"]
      static let web6 = ["[fd00:1::151]:80", "[fd00:3::153]:80"]
      static let modes = ["--copy", "--interface", "lan1"]

      let served: ServedLan
      let back: BackLan

      init(queues: Int = 1) throws {
        served = try ServedLan(directorQueues: queues)
        back = try BackLan(behind: served.lan, directorQueues: queues)
        for host in back.realServers {
          try host.run("\(RunningDirector.executable) realserver up \(Lan.vip) \(Lan.vip6)")
          try served.startNginx(on: host)
        }
      }

      var director: Machine { served.lan.director }

      /// Whether clients come to see these and no others.
      func answers(_ names: Set<String>, _ url: String = ServedLan.url) throws -> Bool {
        try waitUntil(seconds: 20) {
          Set(try served.ask(4, url).map(String.init(describing:)))
            == Set(names.map { String(describing: Reply.body($0)) })
        }
      }

      /// A director of a configuration file with both interfaces and, for the web service, `more`.
      func director(
        _ head: String, _ more: String, _ realServers: [String]
      ) throws -> RunningDirector {
        let path = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString).yaml"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try """
        interfaces:
        - {name: lan0, copy-mode: copy}
        - {name: lan1, copy-mode: copy}
        \(head)
        services:
        - vip: \(Lan.vip)
          protocol: tcp
          port: 80
          scheduler: rr
          \(more)
          real-servers: [\(realServers.map { "{address: \($0)}" }.joined(separator: ", "))]

        """.write(toFile: path, atomically: true, encoding: .utf8)
        return try RunningDirector(on: director, ["--config", path])
      }
    }

    @Test(arguments: [1, 2]) func eachRealServerIsReachedByItsLan(_ queues: Int) throws {
      let site = try Site(queues: queues)
      let director = try RunningDirector(on: site.director, Site.modes)
      try director.serve(ServedLan.web, Site.web)
      try director.serve(ServedLan.web6, Site.web6)
      let taps = [
        try site.served.lan.fabric.tap("director"), try site.back.fabric.tap("director"),
      ]
      for url in [ServedLan.url, ServedLan.url6] {
        let replies = try site.served.ask(8, url)
        // Each queue goes round by itself.
        let counts = ["rs1", "rs3"].map { name in replies.count { $0 == .body(name) } }
        #expect(counts.reduce(0, +) == 8 && counts.allSatisfy { $0 >= 4 / queues }, "\(replies)")
      }
      // The bridge's port sends to the director and receives from it.
      let vip = IPAddress(Lan.vip)!
      let frames = taps.map { tap in tap.all { IPv4Header($0.octets)?.ipProtocol == 6 } }
      let left = frames.map { $0.filter { !$0.isOutgoing }.map(\.octets) }
      #expect(left[0].count >= 2 * 5 && left[1].count >= 2 * 5)
      for (octets, (own, other)) in zip(
        left, [(Lan.directorMAC, Lan.mac(151)), (BackLan.directorMAC, BackLan.mac(153))])
      {
        #expect(octets.allSatisfy { $0.starts(with: other.octets + own.octets) })
      }
      let came = frames[0].filter(\.isOutgoing).map { Array($0.octets[14...]) }
      #expect(Set(came) == Set(left.joined().map { Array($0[14...]) }), "not an octet is changed")
      #expect(frames[1].allSatisfy { !$0.isOutgoing }, "nothing came in by the back LAN")
      #expect(!frames.joined().contains { IPv4Header($0.octets)?.source == vip })

      let interfaces = try director.queues().flatMap(\.interfaces)
      #expect(interfaces.count == 2 * queues)
      for interface in interfaces {
        if interface.name == "lan1" { #expect(interface.worker["received"] == 0) }
        #expect(interface.worker["received"] == interface.worker["forwarded"])
      }
      #expect(try director.martinet("queues").contains(/0 +lan1 +0 +0 +0 +0\n/))
      #expect(
        try director.get("../metrics").contains(
          /martinet_queue_completed_total\{queue="0",interface="lan1"\} [1-9]/))
    }

    /// Someone on the back LAN asks the VIP, and both real servers answer.
    @Test func requestsComeInByTheBackLanToo() throws {
      let site = try Site()
      let director = try RunningDirector(on: site.director, Site.modes)
      try director.serve(ServedLan.web, Site.web)
      let client = site.back.realServers[1]
      try client.run("\(RunningDirector.executable) realserver down \(Lan.vip) \(Lan.vip6)")
      try client.ip("route add \(Lan.vip)/32 via 192.168.3.150")
      let replies = try (0..<8).map { _ in try client.curl(ServedLan.url) }
      #expect(replies.count { $0 == .body("rs1") } == 4, "\(replies)")
      #expect(replies.count { $0 == .body("rs3") } == 4, "\(replies)")
    }

    @Test func aNewMACAddressIsFollowedOnEither() throws {
      let site = try Site()
      let director = try RunningDirector(on: site.director, Site.modes)
      try director.serve(ServedLan.web, Site.web)
      for (interface, fabric) in [
        ("lan0", site.served.lan.fabric), ("lan1", site.back.fabric),
      ] {
        let mac = MACAddress("02:00:00:00:09:99")!
        try site.director.ip("link set \(interface) address \(mac)")
        try site.served.lan.router.run("ip neighbor flush all")
        let tap = try fabric.tap("director")
        #expect(try site.answers(["rs1", "rs3"]), "\(director.process.output)")
        let frame = tap.next {
          !$0.isOutgoing && IPv4Header($0.octets)?.destination == IPAddress(Lan.vip)!
            && $0.octets[6..<12].elementsEqual(mac.octets)
        }
        #expect(frame != nil, "\(interface)")
      }
    }

    /// Down, the other one goes on; deleted, the director says so and ends.
    @Test func anInterfaceThatGoesIsNamed() throws {
      let site = try Site()
      let director = try RunningDirector(on: site.director, Site.modes)
      try director.serve(ServedLan.web, Site.web)
      #expect(try site.answers(["rs1", "rs3"]))
      try site.director.ip("link set lan1 down")
      #expect(try site.answers(["rs1"]), "\(director.process.output)")
      #expect(director.process.output.contains("interface is down"))
      try site.director.ip("link set lan1 up")
      #expect(try site.answers(["rs1", "rs3"]), "\(director.process.output)")

      try site.director.ip("link delete lan1")
      let ending = director.process.wait(seconds: 20)
      #expect(ending != nil && ending != .exit(0), "\(director.process.output)")
      #expect(director.process.output.contains("lan1"), "\(director.process.output)")
      #expect(try !director.isAttached, "the other one is given back")
    }

    /// The switch of the back LAN takes 1400 octets and the director is told so while it runs: what
    /// the client's path MTU discovery hears of, and what the real servers' MSS does not say.
    @Test func largePacketsComeThroughAnInterfaceWithASmallerMTU() throws {
      let site = try Site()
      let director = try RunningDirector(on: site.director, Site.modes)
      try director.serve(ServedLan.web, [Site.web[1]])
      try director.serve(ServedLan.web6, [Site.web6[1]])
      try site.back.fabric.ip("link set director mtu 1400")
      try site.director.ip("link set lan1 mtu 1400")
      #expect(
        try waitUntil(seconds: 20) {
          director.process.output.contains("not all fit lan1 (MTU 1400)")
        }, "\(director.process.output)")
      for (count, url) in zip(1..., [ServedLan.url, ServedLan.url6]) {
        let reply = try site.served.lan.client.curl(
          url, seconds: 20, header: "X-Large: " + String(repeating: "x", count: 4000))
        #expect(reply == .body("rs3"))
        let told = try #require(director.queues().first?.sideTraffic["packetTooBig"])
        #expect(told >= count, "\(url)")
      }
    }

    /// A check that asks the VIP goes out where its real server is.
    @Test func vipsAreAskedOnEachLan() throws {
      let site = try Site()
      let schedule = "interval: 0.2, timeout: 1, rise: 2, fall: 2, initial: down"
      let director = try site.director(
        "", "health: {checks: [{kind: tcp, to: vip, \(schedule)}]}", Site.web)
      #expect(try site.answers(["rs1", "rs3"]), "\(director.process.output)")
      try site.back.realServers[0].run(
        "\(RunningDirector.executable) realserver down \(Lan.vip) \(Lan.vip6)")
      #expect(try site.answers(["rs1"]))
      let checks = try director.martinet("checks")
      #expect(checks.contains(/tcp 192.168.1.149:80 at 192.168.3.153 +down/), "\(checks)")
    }

    /// Nothing is static: someone on each LAN asks by ARP and by neighbour solicitation.
    @Test func theVIPsAreResolvedOnEachLan() throws {
      let site = try Site()
      try site.director.ip("address del \(Lan.vip)/32 dev lan0")
      try site.director.ip("address del \(Lan.vip6)/128 dev lan0")
      let director = try site.director("announce: true", "", Site.web)
      try director.serve(ServedLan.web6, Site.web6)
      let near = site.back.realServers[1]
      try near.run("\(RunningDirector.executable) realserver down \(Lan.vip) \(Lan.vip6)")
      try near.ip("route add \(Lan.vip)/32 dev lan0")
      try near.ip("route add \(Lan.vip6)/128 dev lan0")
      let bodies = [Reply.body("rs1"), .body("rs3")]
      for url in [ServedLan.url, ServedLan.url6] {
        for client in [near, site.served.lan.client] {
          let isAnswered = try waitUntil(seconds: 20) { bodies.contains(try client.curl(url)) }
          #expect(isAnswered, "\(url) on \(client.name): \(director.process.output)")
        }
      }
      for vip in [Lan.vip, Lan.vip6] {
        for (host, mac) in [(near, BackLan.directorMAC), (site.served.lan.router, Lan.directorMAC)]
        {
          let entry = try host.run("ip neighbor show \(vip) dev lan0")
          #expect(entry.contains("lladdr \(mac)"), "\(host.name): \(entry)")
        }
      }
      // An interface that was down has lost its IPv6 addresses (net/ipv6/addrconf.c).
      func held() throws -> Int {
        try site.director.run("ip -o address show").split(separator: "\n")
          .count { $0.contains(" \(Lan.vip6)/128") }
      }
      #expect(try held() == 2)
      try site.director.ip("link set lan1 down")
      try site.director.ip("link set lan1 up")
      #expect(try waitUntil(seconds: 20) { try held() == 2 }, "\(director.process.output)")
      director.process.send(SIGTERM)
      #expect(director.process.wait(seconds: 20) == .exit(0))
      #expect(try held() == 0, "each is taken back")
    }

    @Test func allLansAreToldOfTheVIPs() throws {
      let site = try Site()
      try site.director.ip("address del \(Lan.vip)/32 dev lan0")
      let taps = [
        (try site.served.lan.fabric.tap("director"), Lan.directorMAC),
        (try site.back.fabric.tap("director"), BackLan.directorMAC),
      ]
      let director = try site.director("announce: true", "", Site.web)
      for (tap, mac) in taps {
        let announcement = tap.next(seconds: 20) {
          !$0.isOutgoing && $0.octets.count >= 42
            && $0.octets[12..<14].elementsEqual([0x08, 0x06])
            && $0.octets[22..<32].elementsEqual(mac.octets + [192, 168, 1, 149])
            && $0.octets[38..<42].elementsEqual([192, 168, 1, 149])
        }
        #expect(announcement != nil, "\(mac): \(director.process.output)")
      }
      let addresses = try site.director.run("ip -o address show")
      #expect(addresses.contains(/lan0 +inet 192.168.1.149\/32/), "\(addresses)")
      #expect(!addresses.contains(/lan1 +inet 192.168.1.149\/32/), "\(addresses)")
      #expect(try site.answers(["rs1", "rs3"]))
    }
  }
}
