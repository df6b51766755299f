// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc
import TestSupport
import Testing

/// What the README claims, on the textbook network.
extension EndToEnd {
  @Suite(.serialized) struct LanTests {
    /// The network by itself: the router is told rs1's MAC for the VIP, as a director would.
    @Test func aRealServerAnswersAsTheVIPAndNeverAnnouncesIt() throws {
      let served = try ServedLan()
      #expect(try served.ask(1) == [.refused])
      let entry = "lladdr \(Lan.mac(151)) dev lan0 nud permanent"
      try served.lan.router.ip("neighbor replace \(Lan.vip) \(entry)")
      try served.lan.router.ip("neighbor replace \(Lan.vip6) \(entry)")
      #expect(try served.ask(1) == [.body("rs1")])
      #expect(try served.ask(1, ServedLan.url6) == [.body("rs1")])
      #expect(try served.query(fromPort: 5001) == "rs1")
      #expect(try served.query(fromPort: 5001) == "rs1")
    }

    @Test func roundRobinOverBothFamiliesWithTrueCounts() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, ["192.168.1.151", "192.168.1.152"])
      try director.serve(ServedLan.web6, ["[fd00:1::151]:80", "[fd00:1::152]:80"])
      for (url, service) in [(ServedLan.url, ServedLan.web), (ServedLan.url6, ServedLan.web6)] {
        let replies = try served.ask(6, url)
        #expect(zip(replies, replies.dropFirst()).allSatisfy { $0 != $1 }, "\(replies)")
        #expect(Set(replies.map(String.init(describing:))).count == 2)
        let servers = try director.realServersOf(service)
        #expect(servers.map(\.statistics.connections) == [3, 3])
      }
    }

    @Test func weightedRoundRobinGivesThreeToOne() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(
        ServedLan.web, scheduler: "wrr", ["192.168.1.151 -w 3", "192.168.1.152 -w 1"])
      let replies = try served.ask(8)
      #expect(replies.count { $0 == .body("rs1") } == 6)
      #expect(replies.count { $0 == .body("rs2") } == 2)
    }

    @Test func aPersistentServiceKeepsItsClients() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.ipvsadm("-A \(ServedLan.web) -s rr -p 60")
      for realServer in [151, 152] {
        try director.ipvsadm("-a \(ServedLan.web) -r 192.168.1.\(realServer)")
      }
      let replies = try served.ask(6)
      #expect(Set(replies.map(String.init(describing:))).count == 1)
      #expect(replies[0] == .body("rs1") || replies[0] == .body("rs2"))
      let clients = try director.ipvsadm("-Ln --persistent-conn").split(separator: "\n")
      #expect(clients.contains("TCP  \(Lan.vip):80 rr persistent 60"))
      #expect(
        Set(clients.suffix(2).map { $0.split(separator: " ")[3] }) == ["0", "1"], "\(clients)")
      #expect(try director.ipvsadm("-Lnc").contains("ASSURED     10.0.0.2:0"))
    }

    @Test func datagramsOfOneClientPortStayTogether() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.names, ["192.168.1.151", "192.168.1.152"])
      let first = try served.query(fromPort: 5001)
      let second = try served.query(fromPort: 5002)
      #expect([first, second].sorted() == ["rs1", "rs2"])
      #expect(try served.query(fromPort: 5001) == first)
      #expect(try served.query(fromPort: 5002) == second)
    }

    @Test func oneByOneDatagramsOfOneClientPortGoRound() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.ipvsadm("-A \(ServedLan.names) -s rr -o")
      for server in [151, 152] {
        try director.ipvsadm("-a \(ServedLan.names) -r 192.168.1.\(server)")
      }
      let names = try (0..<4).map { _ in try served.query(fromPort: 5001) }
      #expect(names == ["rs2", "rs1", "rs2", "rs1"])
      #expect(try director.ipvsadm("-Lnc").split(separator: "\n").count == 2, "only the title")
    }

    @Test func answersBypassTheDirectorAndRequestsKeepTheirBytes() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, ["192.168.1.151", "192.168.1.152"])
      let tap = try served.lan.fabric.tap("director")
      #expect(try !served.ask(4).contains(.timedOut))
      let vip = IPAddress(Lan.vip)!
      let frames = tap.all { IPv4Header($0.octets)?.ipProtocol == 6 }
      let requests = frames.filter { IPv4Header($0.octets)?.destination == vip }
      // The bridge's port sends to the director and receives from it.
      let came = requests.filter(\.isOutgoing).map(\.octets)
      let left = requests.filter { !$0.isOutgoing }.map(\.octets)
      #expect(came.count >= 4 * 5)
      #expect(came.map { Array($0[14...]) } == left.map { Array($0[14...]) })
      #expect(came.allSatisfy { $0.starts(with: Lan.directorMAC.octets) })
      #expect(left.allSatisfy { $0[6..<12].elementsEqual(Lan.directorMAC.octets) })
      #expect(
        Set(left.map { Array($0[..<6]) }) == [Lan.mac(151).octets, Lan.mac(152).octets])
      #expect(!frames.contains { IPv4Header($0.octets)?.source == vip })
    }

    @Test func whatIsNoServiceStaysWithTheKernel() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, ["192.168.1.151"])
      let shell = try served.lan.director.start([
        "socat", "TCP-LISTEN:22,fork,reuseaddr", "SYSTEM:echo SSH-2.0-director",
      ])
      defer { shell.send(SIGTERM) }
      for address in ["192.168.1.150", Lan.vip] {
        let banner = try waitUntil {
          try served.lan.client.finish(["socat", "-T", "2", "-u", "TCP:\(address):22", "-"])
            .output.contains("SSH-2.0-director")
        }
        #expect(banner, "\(address)")
      }
      #expect(try served.lan.client.curl("http://\(Lan.vip):81/") == .refused)
      #expect(try served.lan.client.curl("http://192.168.1.150/") == .refused)
      #expect(try served.ask(1) == [.body("rs1")])
    }

    @Test func aRemovedServiceIsTheKernelsAgain() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      #expect(try served.ask(1) == [.refused])
      try director.serve(ServedLan.web, ["192.168.1.151"])
      #expect(try served.ask(1) == [.body("rs1")])
      try director.ipvsadm("-D \(ServedLan.web)")
      #expect(try served.ask(1) == [.refused])
      try director.serve(ServedLan.web, ["192.168.1.152"])
      #expect(try served.ask(1) == [.body("rs2")])
    }

    @Test func anUnresolvedRealServerGetsNoNewConnections() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, ["192.168.1.151"])
      try director.ipvsadm("-a \(ServedLan.web) -r 192.168.1.153")
      #expect(try served.ask(4) == Array(repeating: .body("rs1"), count: 4))
      let servers = try director.realServersOf(ServedLan.web)
      #expect(servers.map(\.isResolved) == [true, false])
      #expect(servers.map(\.statistics.connections) == [4, 0])
      // It comes up: the same LAN port with one address more.
      try served.lan.realServers[1].ip("address add 192.168.1.153/24 dev lan0")
      let resolves = try waitUntil(seconds: 20) {
        try director.realServersOf(ServedLan.web).allSatisfy(\.isResolved)
      }
      #expect(resolves)
      #expect(Set(try served.ask(4).map(String.init(describing:))).count == 2)
    }

    @Test func aMACChangeReachesALiveFlow() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.names, ["192.168.1.151"])
      #expect(try served.query(fromPort: 5001) == "rs1")
      let newMAC = MACAddress("02:00:00:00:01:f7")!
      let host = served.lan.realServers[0]
      try host.run("sysctl -qw net.ipv4.conf.lan0.arp_notify=1")
      try host.ip("link set lan0 address \(newMAC)")
      let changed = try waitUntil {
        try director.realServersOf(ServedLan.names).first?.macAddress == newMAC
      }
      #expect(changed)
      #expect(try served.query(fromPort: 5001) == "rs1")
      #expect(try director.realServersOf(ServedLan.names).map(\.statistics.connections) == [1])
    }

    @Test func aRealServerThatIsNotOnTheLanIsRefused() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.ipvsadm("-A \(ServedLan.web) -s rr")
      let (ending, output) = try director.finish("-a \(ServedLan.web) -r 10.0.0.2")
      #expect(ending != .exit(0))
      #expect(!output.isEmpty)
      #expect(try director.realServersOf(ServedLan.web).isEmpty)
    }
  }
}
