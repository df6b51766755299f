// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import TestSupport
import Testing

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
        - {vip: \(Lan.vip), protocol: tcp, port: 80, scheduler: mh, stray: schedule,
           real-servers: [{address: 192.168.1.151}, {address: 192.168.1.152}]}

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

      var hasVIP: Bool {
        get throws { try host.run("ip -o address show dev lan0").contains(" \(Lan.vip)/") }
      }

      /// What keepalived and the director have said.
      var story: String { keepalived.output + director.process.output }
    }

    /// The master's host is cut off and its programs are killed, under traffic.
    @Test func newAndOldConnectionsGoOnAtTheOtherDirector() throws {
      let served = try ServedLan()
      let lan = served.lan
      for vip in ["\(Lan.vip)/32", "\(Lan.vip6)/128"] {
        try lan.director.ip("address del \(vip) dev lan0")
      }
      let other = try Machine("director2")
      try lan.plug(other, number: 160)
      let master = try Node(lan.director, priority: 150)
      #expect(try waitUntil(seconds: 20) { try master.hasVIP }, "\(master.story)")
      let backup = try Node(other, priority: 100)
      #expect(try waitUntil(seconds: 20) { try served.ask(1) != [.timedOut] }, "\(master.story)")
      #expect(try !backup.hasVIP, "\(backup.story)")

      let transfer = try lan.client.start(
        [
          "curl", "-sg", "--max-time", "60", "-w", "%{size_download}", "-o", "/dev/null",
          ServedLan.url + "slow",
        ])
      #expect(transfer.wait(seconds: 2) == nil, "\(transfer.output)")
      try lan.fabric.ip("link set director down")
      master.keepalived.send(SIGKILL)
      master.director.process.send(SIGKILL)
      let start = monotonicSeconds()
      let answered = try waitUntil(seconds: 20) {
        if case .body = try lan.client.curl(ServedLan.url, seconds: 1) { true } else { false }
      }
      #expect(answered, "\(backup.story)")
      #expect(monotonicSeconds() - start < 4, "\(backup.story)")
      #expect(try backup.hasVIP)
      #expect(transfer.wait(seconds: 60) == .exit(0), "\(transfer.output)")
      #expect(transfer.output == "\(ServedLan.large.utf8.count)")
    }
  }
}
