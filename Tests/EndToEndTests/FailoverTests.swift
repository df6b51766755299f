// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import TestSupport
import Testing

#if !DEBUG
  /// Two directors, each with the real keepalived beside it.
  extension EndToEnd {
    @Suite(.serialized) struct FailoverTests {
      /// A host that runs `martinet run` and keepalived, whose `notify` is `martinet notify`.
      private final class Node {
        let host: Machine
        let director: RunningDirector
        let keepalived: Child
        private let folder = NSTemporaryDirectory() + "martinet-test-" + UUID().uuidString

        init(_ host: Machine, priority: Int) throws {
          self.host = host
          try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
          let site = folder + "/martinet.yaml"
          try """
          interface: {name: lan0, copy-mode: copy}
          announce: true
          role: backup
          services:
          \(HashedService.all.map(\.yaml).joined(separator: "\n"))
          """.write(toFile: site, atomically: true, encoding: .utf8)
          director = try RunningDirector(on: host, ["--config", site])
          // The VRRP address is one of its own: the VIP is Martinet's to move.
          try """
          global_defs {
            script_user root
            vrrp_version 3
          }
          vrrp_instance VI_1 {
            state BACKUP
            interface lan0
            virtual_router_id 51
            priority \(priority)
            advert_int 0.5
            virtual_ipaddress {
              192.168.1.148/32
            }
            notify "\(RunningDirector.executable) notify --control \(director.controlPath)"
          }

          """.write(toFile: folder + "/keepalived.conf", atomically: true, encoding: .utf8)
          keepalived = try host.start([
            "keepalived", "--dont-fork", "--log-console", "--vrrp",
            "--use-file", folder + "/keepalived.conf", "--pid", folder + "/keepalived.pid",
            "--vrrp_pid", folder + "/vrrp.pid",
          ])
        }

        deinit {
          keepalived.send(SIGTERM)
          _ = keepalived.wait(seconds: 10)
          try? FileManager.default.removeItem(atPath: folder)
        }

        var hasVIPs: Bool {
          get throws {
            let addresses = try host.run("ip -o address show dev lan0")
            return [Lan.vip, Lan.vip6].allSatisfy { addresses.contains(" \($0)/") }
          }
        }

        /// What keepalived and the director have said.
        var story: String { keepalived.output + director.process.output }
      }

      /// The master's host is cut off and its programs are killed, under traffic: of TCP and UDP,
      /// over IPv4 and IPv6, with two hashes.
      @Test func newAndOldConnectionsGoOnAtTheOtherDirector() throws {
        let served = try ServedLan()
        let lan = served.lan
        for vip in ["\(Lan.vip)/32", "\(Lan.vip6)/128"] {
          try lan.director.ip("address del \(vip) dev lan0")
        }
        let names = try HashedService.all.filter { !$0.isTCP && $0.port != 53 }.flatMap { service in
          try lan.realServers.map {
            try DatagramServer(on: $0, address: service.vip, port: service.port, answer: $0.name)
          }
        }
        defer { withExtendedLifetime(names) {} }
        let other = try Machine("director2")
        try lan.plug(other, number: 160)
        let master = try Node(lan.director, priority: 150)
        #expect(try waitUntil(seconds: 20) { try master.hasVIPs }, "\(master.story)")
        let backup = try Node(other, priority: 100)
        for service in HashedService.all where service.isTCP {
          #expect(
            try waitUntil(seconds: 20) { try served.ask(1, service.url) != [.timedOut] },
            "\(master.story)")
        }
        #expect(try !backup.hasVIPs, "\(backup.story)")

        let flows = try HashedService.all.filter { !$0.isTCP }.flatMap { try $0.flows(of: lan) }
        // Clients' ports count, so that both real servers have some.
        #expect(Set(flows.map(\.answer)) == ["rs1", "rs2"])
        let transfers = try HashedService.all.filter(\.isTCP).map {
          try lan.client.start([
            "curl", "-sg", "--max-time", "60", "-w", "%{size_download}", "-o", "/dev/null",
            $0.url + "slow",
          ])
        }
        for transfer in transfers {
          #expect(transfer.wait(seconds: 0.5) == nil, "\(transfer.output)")
        }
        try lan.fabric.ip("link set director down")
        master.keepalived.send(SIGKILL)
        master.director.process.send(SIGKILL)
        let start = monotonicSeconds()
        for service in HashedService.all where service.isTCP {
          let isAnswered = try waitUntil(seconds: 20) {
            if case .body = try lan.client.curl(service.url, seconds: 1) { true } else { false }
          }
          #expect(isAnswered, "\(service.url): \(backup.story)")
        }
        #expect(monotonicSeconds() - start < 4, "\(backup.story)")
        #expect(try backup.hasVIPs)
        for flow in flows { #expect(flow.ask() == flow.answer, "\(flow.service)") }
        for transfer in transfers {
          #expect(transfer.wait(seconds: 60) == .exit(0), "\(transfer.output)")
          #expect(transfer.output == "\(ServedLan.large.utf8.count)")
        }
      }
    }
  }

  /// A service of both directors, whose scheduler is a hash.
  private struct HashedService {
    var vip: String
    var isTCP: Bool
    var port: UInt16
    var scheduler: String

    static let all = [Lan.vip, Lan.vip6].flatMap { vip in
      [
        HashedService(vip: vip, isTCP: true, port: 80, scheduler: "mh"),
        HashedService(vip: vip, isTCP: true, port: 8080, scheduler: "sh"),
        HashedService(vip: vip, isTCP: false, port: 53, scheduler: "mh"),
        HashedService(vip: vip, isTCP: false, port: 54, scheduler: "sh"),
      ]
    }

    private var isIPv6: Bool { vip == Lan.vip6 }

    var url: String { "http://\(isIPv6 ? "[\(vip)]" : vip):\(port)/" }

    /// Of the configuration file.
    var yaml: String {
      let realServers = [151, 152].map {
        "{address: \"\(isIPv6 ? "fd00:1::" : "192.168.1.")\($0)\"}"
      }
      let rest = isTCP ? "protocol: tcp, stray: schedule" : "protocol: udp"
      return """
        - {vip: "\(vip)", port: \(port), \(rest), scheduler: \(scheduler),
           scheduler-flags: {port: true}, real-servers: [\(realServers.joined(separator: ", "))]}
        """
    }

    /// A client's port, and who answers it.
    struct Flow {
      let service: String
      let socket: DatagramSocket
      var answer = ""

      /// Asks again until an answer comes; what was still to come before is no answer.
      func ask() -> String {
        var answer = ""
        while !socket.receive(waits: false).isEmpty {}
        _ = waitUntil {
          socket.send("?")
          answer = socket.receive(waits: false)
          return !answer.isEmpty
        }
        return answer
      }
    }

    func flows(of lan: Lan) throws -> [Flow] {
      try (UInt16(6001)...6008).map { number in
        let socket = try DatagramSocket(
          on: lan.client, address: isIPv6 ? "fd00:10::2" : "10.0.0.2", port: number + 100 * port)
        try socket.connect(to: vip, port: port)
        var flow = Flow(service: "\(vip) \(port)", socket: socket)
        flow.answer = flow.ask()
        return flow
      }
    }
  }
#endif
