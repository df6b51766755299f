// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import TestSupport
import Testing

/// `announce: true`: the VIPs are the director's own addresses, and the LAN is told so.
extension EndToEnd {
  @Suite(.serialized) struct VirtualAddressTests {
    private static let services = """
      services:
      - {vip: \(Lan.vip), protocol: tcp, port: 80, scheduler: rr,
         real-servers: [{address: 192.168.1.151}, {address: 192.168.1.152}]}
      - {vip: "\(Lan.vip6)", protocol: tcp, port: 80, scheduler: rr,
         real-servers: [{address: "fd00:1::151"}]}

      """

    /// A LAN where nobody has the VIPs yet, and a configuration file.
    private struct Site {
      let served: ServedLan
      let path = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString).yaml"

      init(_ head: String) throws {
        served = try ServedLan()
        try served.lan.director.ip("address del \(Lan.vip)/32 dev lan0")
        try served.lan.director.ip("address del \(Lan.vip6)/128 dev lan0")
        try write(head)
      }

      func write(_ head: String) throws {
        try ("interface: {name: lan0, copy-mode: copy}\n\(head)\n" + services)
          .write(toFile: path, atomically: true, encoding: .utf8)
      }

      func isHeld(_ vip: String) throws -> Bool {
        try served.lan.director.run("ip -o address show dev lan0").contains(" \(vip)/")
      }
    }

    private static func isGratuitousARP(_ frame: FrameTap.Frame) -> Bool {
      frame.octets.count >= 42 && frame.octets[12..<14].elementsEqual([0x08, 0x06])
        && frame.octets[6..<12].elementsEqual(Lan.directorMAC.octets)
        && frame.octets[28..<32].elementsEqual([192, 168, 1, 149])
        && frame.octets[28..<32].elementsEqual(frame.octets[38..<42])
    }

    /// ICMPv6 type 136 to all nodes (RFC 4861 §7.2.6).
    private static func isAdvertisement(_ frame: FrameTap.Frame) -> Bool {
      frame.octets.count >= 86 && frame.octets[54] == 136
        && frame.octets[6..<12].elementsEqual(Lan.directorMAC.octets)
        && frame.octets[0..<6].elementsEqual([0x33, 0x33, 0, 0, 0, 1])
    }

    @Test func vipsAreTakenAnnouncedAndLeft() throws {
      let site = try Site("announce: true")
      defer { try? FileManager.default.removeItem(atPath: site.path) }
      let lan = site.served.lan
      let router = try lan.router.tap("lan0")
      // The router has an old idea of where the VIP is, as after a takeover.
      try lan.router.ip("neighbor replace \(Lan.vip) lladdr \(Lan.mac(151)) dev lan0 nud reachable")
      let director = try RunningDirector(on: lan.director, ["--config", site.path])
      #expect(router.next(where: Self.isGratuitousARP) != nil, "\(director.process.output)")
      #expect(router.next(where: Self.isAdvertisement) != nil)
      #expect(try lan.router.run("ip neighbor show \(Lan.vip)").contains("\(Lan.directorMAC)"))
      #expect(try waitUntil { try site.served.ask(1) != [.timedOut] })
      #expect(try waitUntil { try site.served.ask(1, ServedLan.url6) == [.body("rs1")] })

      _ = router.all(quietSeconds: 1.5, where: Self.isGratuitousARP)
      let announced = try director.martinet("vip announce --json")
      #expect(announced.contains(#""role" : "master""#) && announced.contains(Lan.vip6))
      #expect(router.next(where: Self.isGratuitousARP) != nil)
      #expect(
        try director.martinet("vip list")
          == "master on lan0\n\(Lan.vip) held\n\(Lan.vip6) held\n")

      // The VIP of a service that goes is left with it.
      try director.ipvsadm("-D \(ServedLan.web6)")
      #expect(try waitUntil { try !site.isHeld(Lan.vip6) })
      // Another hand takes the address away: it comes back.
      try lan.director.ip("address del \(Lan.vip)/32 dev lan0")
      #expect(try waitUntil { try site.isHeld(Lan.vip) })

      director.process.send(SIGTERM)
      #expect(director.process.wait(seconds: 10) == .exit(0), "\(director.process.output)")
      #expect(try !site.isHeld(Lan.vip))
    }

    /// A backup takes back what a killed master left on the interface, but no address of others.
    @Test func whatAKilledDirectorLeftIsTakenBack() throws {
      let site = try Site("announce: true")
      defer { try? FileManager.default.removeItem(atPath: site.path) }
      let lan = site.served.lan
      try lan.director.ip("address add \(Lan.vip6)/128 dev lan0 nodad")
      var director = try RunningDirector(on: lan.director, ["--config", site.path])
      #expect(try waitUntil { try site.isHeld(Lan.vip) })
      director.process.send(SIGKILL)
      #expect(director.process.wait(seconds: 10) == .signal(SIGKILL))
      #expect(try site.isHeld(Lan.vip))

      try site.write("announce: true\nrole: backup")
      director = try RunningDirector(on: lan.director, ["--config", site.path])
      #expect(try waitUntil { try !site.isHeld(Lan.vip) })
      #expect(try site.isHeld(Lan.vip6))
      try director.martinet("notify INSTANCE VI_1 MASTER 100")
      #expect(try waitUntil { try site.isHeld(Lan.vip) })
      try director.martinet("notify INSTANCE VI_1 FAULT 100")
      #expect(try !site.isHeld(Lan.vip))
      #expect(try site.isHeld(Lan.vip6))
      let refused = try lan.director.finish(
        [RunningDirector.executable, "notify", "INSTANCE", "VI_1", "KING", "100"])
      #expect(refused.ending == .exit(64))
      #expect(refused.output.contains("MASTER"), "\(refused.output)")
    }

    /// The words are those of keepalived.conf(5), "notify": a script made for it works unchanged.
    @Test func aNotifyScriptHearsOfEveryChangeOfRole() throws {
      let folder = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString)"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: folder) }
      let (script, log) = (folder + "/notify", folder + "/log")
      // The second call is slow, and must not be overtaken.
      try """
      #!/bin/sh
      [ "$4" = MASTER ] && sleep 0.5
      echo "$@" $(ip -o address show dev lan0 | grep -c ' \(Lan.vip)/') >>\(log)

      """.write(toFile: script, atomically: true, encoding: .utf8)
      #expect(chmod(script, 0o700) == 0)
      let site = try Site("announce: true\nrole: backup\nnotify: \(script) web")
      defer { try? FileManager.default.removeItem(atPath: site.path) }
      let director = try RunningDirector(on: site.served.lan.director, ["--config", site.path])
      for state in ["MASTER", "MASTER", "BACKUP"] {
        try director.martinet("notify INSTANCE VI_1 \(state) 100")
        if state == "MASTER" { #expect(try waitUntil { try site.isHeld(Lan.vip) }) }
        let told = "web INSTANCE lan0 \(state) 100"
        #expect(
          waitUntil { (try? String(contentsOfFile: log, encoding: .utf8))?.contains(told) == true })
      }
      director.process.send(SIGTERM)
      #expect(director.process.wait(seconds: 20) == .exit(0), "\(director.process.output)")
      #expect(
        try String(contentsOfFile: log, encoding: .utf8) == """
          web INSTANCE lan0 BACKUP 100 0
          web INSTANCE lan0 MASTER 100 1
          web INSTANCE lan0 BACKUP 100 0
          web INSTANCE lan0 STOP 100 0

          """, "\(director.process.output)")
    }
  }
}
