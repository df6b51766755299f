// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import TestSupport
import Testing

@testable import ControlPlane

/// keepalived.conf(5) to service tables.
@Suite struct KeepalivedImportTests {
  private func lines(_ findings: [ConfigurationFinding]) -> [String] { findings.map { "\($0)" } }

  @Test func directRoutingIsCarriedWhole() throws {
    let result = KeepalivedImport(
      """
      # comment
      virtual_server 192.0.2.1 80 {   ! another
        lb_algo sh
        lvs_method DR
        sh-port
        persistence_timeout 50
        persistence_granularity 255.255.255.0
        protocol TCP
        real_server 192.0.2.11 80 { weight 3
          uthreshold 9
          lthreshold 2
        }
        real_server 192.0.2.12 80
        {
        }
      }
      virtual_server 2001:db8::1 53 {
        lvs_sched rr
        lb_kind DR
        protocol UDP
        ops
        real_server 2001:db8::11 53 { }
      }
      """)
    #expect(lines(result.findings) == [])
    #expect(
      result.tables.map { "\($0.service.key)" } == ["TCP 192.0.2.1:80", "UDP [2001:db8::1]:53"])
    let web = result.tables[0]
    #expect(web.service.scheduler == .sh && web.service.flags == [.port])
    #expect(
      web.service.persistence
        == Persistence(timeoutSeconds: 50, mask: IPAddress("255.255.255.0")!))
    #expect(
      web.realServers == [
        RealServerConfiguration(
          address: IPAddress("192.0.2.11")!, port: Port(80), weight: 3, upperThreshold: 9,
          lowerThreshold: 2),
        RealServerConfiguration(address: IPAddress("192.0.2.12")!, port: Port(80)),
      ])
    #expect(result.tables[1].service.isOnePacket)
  }

  @Test func whatCannotBeCarriedIsListed() {
    let result = KeepalivedImport(
      """
      vrrp_instance VI_1 {
        priority 100
      }
      include other.conf
      virtual_server 192.0.2.1 80 {
        lb_algo magic
        lb_kind TUN
      }
      virtual_server 192.0.2.2 80 {
        lb_kind NAT
        delay_loop 6
        real_server 192.0.2.11 8080 {
          TCP_CHECK { connect_timeout 3
          }
        }
        real_server 192.0.2.12 80 {
        }
      }
      virtual_server fwmark 0 {
        protocol DCCP
      }
      virtual_server 192.0.2.2 {
      }
      virtual_server group nobody {
      }
      virtual_server 192.0.2.2 80 {
        lb_kind DR
      }
      """)
    #expect(result.tables.map { "\($0.service.key)" } == ["TCP 192.0.2.2:80"])
    #expect(result.tables[0].realServers.map { "\($0.address)" } == ["192.0.2.12"])
    let expected = [
      (1, "vrrp_instance VI_1: is not a director's"), (4, "include other.conf: is not followed"),
      (6, "lb_algo magic: is no scheduler"), (7, "lb_kind TUN: is not available"),
      (9, "virtual_server 192.0.2.2 80: becomes direct routing"),
      (12, "real_server 192.0.2.11 8080: is left out"),
      (19, "virtual_server fwmark 0: is left out"),
      (20, "protocol DCCP: is not available: TCP, UDP and SCTP"),
      (22, "virtual_server 192.0.2.2: is no address with a port"),
      (24, "virtual_server group nobody: names no group"),
      (26, "virtual_server 192.0.2.2 80: is left out: the file has"),
    ]
    for (line, part) in expected {
      #expect(
        lines(result.findings).contains { $0.hasPrefix("line \(line): \(part)") },
        "\(line) \(part) in \(lines(result.findings))")
    }
  }

  /// Times, retries and questions are carried, what is asked of all alike once.
  @Test func checksAreCarried() throws {
    let result = KeepalivedImport(
      """
      virtual_server 192.0.2.1 80 {
        lb_kind DR
        delay_loop 6
        alpha
        quorum 2
        hysteresis 1
        sorry_server 192.0.2.99 80
        real_server 192.0.2.11 80 {
          TCP_CHECK { connect_timeout 1.5
            retry 2
            connect_port 81
          }
        }
        real_server 192.0.2.12 80 {
          TCP_CHECK { connect_timeout 1.5
            retry 2
            connect_port 81
          }
        }
      }
      virtual_server 192.0.2.2 53 {
        lb_kind DR
        protocol UDP
        virtualhost example.org
        inhibit_on_failure
        real_server 192.0.2.11 53 {
          DNS_CHECK { type a
            name example.org
          }
          UDP_CHECK { payload Ab12f 3 456
            require_reply 01
          }
        }
        real_server 192.0.2.12 53 {
          HTTP_GET { url { path /a
              status_code 200-204 301
            }
            url { path /b
              digest 9b3a0c85a887a256d6939da88aabd8cd
            }
          }
          SSL_GET { enable_sni
            url { path /c
            }
          }
          PING_CHECK { }
          MISC_CHECK { misc_path "/usr/bin/check -x"
            misc_timeout 7
          }
          MISC_CHECK { misc_path check.sh
          }
          SMTP_CHECK { }
        }
      }
      """)
    #expect(
      lines(result.findings).map { String($0.prefix(40)) } == [
        "line 39: digest: is not carried: the ans", "line 50: MISC_CHECK: is left out: give i",
        "line 52: SMTP_CHECK: is not carried: scr",
      ], "\(lines(result.findings))")
    let (web, names) = (result.tables[0].health, result.tables[1].health)
    var check = HealthCheck(.tcp, port: Port(81))
    (check.schedule.intervalMilliseconds, check.schedule.timeoutMilliseconds) = (6000, 1500)
    (check.schedule.rise, check.schedule.fall, check.schedule.initial) = (1, 3, .down)
    #expect(web.checks == [check] && web.ownChecks.isEmpty && web.onFailure == .remove)
    #expect(web.quorum == 2 && web.hysteresis == 1)
    #expect(web.sorryServer == IPAddress("192.0.2.99"))
    #expect(names.onFailure == .inhibit && names.checks.isEmpty)
    let first = try #require(names.ownChecks[IPAddress("192.0.2.11")!])
    var (dns, udp) = (DNSQuestion(), DatagramQuestion())
    (dns.name, dns.type) = ("example.org", .A)
    (udp.payload, udp.needsReply, udp.reply) = ([0xab, 0x12, 0x0f, 3, 0x45, 6], true, [1])
    #expect(first.map(\.kind) == [.dns(dns), .udp(udp)])
    #expect(first.map(\.schedule.fall) == [4, 2])
    let second = try #require(names.ownChecks[IPAddress("192.0.2.12")!])
    var urls = [HTTPQuestion(), HTTPQuestion(), HTTPQuestion()]
    for (place, path) in ["/a", "/b", "/c"].enumerated() {
      (urls[place].path, urls[place].host) = (path, "example.org")
    }
    urls[0].statuses = [200...204, 301...301]
    var tls = TLSQuestion()
    tls.serverName = "example.org"
    #expect(
      second.map(\.kind) == [
        .http(urls[0]), .http(urls[1]), .https(urls[2], tls), .ping,
        .command("/usr/bin/check -x"),
      ])
    #expect(second.last?.schedule.timeoutMilliseconds == 7000 && second.last?.schedule.fall == 1)
  }

  @Test func groupsAreAServiceEach() {
    let result = KeepalivedImport(
      """
      virtual_server_group web {
        192.0.2.9-11 80
        192.0.2.1 81
        fwmark 0
        192.0.2.9-8 80
      }
      virtual_server group web {
        lb_kind DR
        real_server 192.0.2.21 80 { }
      }
      """)
    #expect(
      result.tables.map { "\($0.service.key)" } == [
        "TCP 192.0.2.9:80", "TCP 192.0.2.10:80", "TCP 192.0.2.11:80",
      ])
    // Port 81 cannot be reached at port 80.
    #expect(result.findings.map(\.line) == [4, 5, 7, 9])
  }

  /// A mark's family is that of its real servers, or else what is said.
  @Test func marksAndAssociationsAreCarried() throws {
    let result = KeepalivedImport(
      """
      virtual_server fwmark 1 {
        lb_kind DR
        persistence_timeout 900
        protocol TCP
        real_server 192.168.201.100 { weight 1 }
        real_server 192.168.201.101 80 { }
      }
      virtual_server fwmark 1 {
        lb_kind DR
        real_server 2001:db8::11 { }
      }
      virtual_server fwmark 4 {
        lb_kind DR
        ip_family inet6
      }
      virtual_server 192.0.2.1 2905 {
        lb_kind DR
        protocol sctp
        real_server 192.0.2.11 2905 { }
      }
      virtual_server_group mixed {
        192.0.2.2 80
        fwmark 2
        fwmark 3 inet6
      }
      virtual_server group mixed {
        lb_kind DR
      }
      """)
    #expect(
      result.tables.map { "\($0.service.key)" } == [
        "FWM 1", "FWM 1 IPv6", "FWM 4 IPv6", "SCTP 192.0.2.1:2905", "TCP 192.0.2.2:80", "FWM 2",
        "FWM 3 IPv6",
      ])
    #expect(result.tables[0].service.persistence?.timeoutSeconds == 900)
    #expect(result.tables[0].realServers.map(\.port) == [Port(0), Port(80)])
    #expect(result.tables[1].realServers.map(\.address) == [IPAddress("2001:db8::11")!])
    #expect(result.findings.map(\.line) == [1, 8, 12, 26, 26])
    #expect(result.findings.allSatisfy { $0.cause.contains("say under `marks:`") })
    var site = SiteConfiguration(ports: [PortConfiguration(interface: "lan0")])
    site.tables = result.tables
    #expect(try SiteConfiguration(yaml: site.yaml) == site)
  }

  @Test func bracesThatDoNotMatchAreFindings() {
    #expect(
      lines(KeepalivedImport("}\na {\n").findings) == [
        "line 1: a `}` too many: remove it",
        "line 2: a `{` that no `}` follows: add it",
        "line 2: a: is not a director's: leave it to keepalived",
      ])
    #expect(lines(KeepalivedImport("{ }").findings).first?.contains("without a name") == true)
    let deep = String(repeating: "a {\n", count: 10_000)
    #expect(!KeepalivedImport(deep).findings.isEmpty)
  }

  /// The package's own samples; where it is not installed there are none to try.
  @Test(.requires(.keepalivedSamples)) func theSamplesAreConverted() throws {
    var services = 0
    for name in try FileManager.default.contentsOfDirectory(atPath: Requirement.samples).sorted()
    where name.hasPrefix("keepalived.conf") {
      let path = "\(Requirement.samples)/\(name)"
      let text = try String(contentsOfFile: path, encoding: .utf8)
      let result = KeepalivedImport(text)
      services += result.tables.count
      var site = SiteConfiguration(ports: [PortConfiguration(interface: "lan0")])
      site.tables = result.tables
      #expect(try SiteConfiguration(yaml: site.yaml) == site, "\(name)")
      // Every virtual server is in the new file, or named.
      let count = text.split(separator: "\n").count { $0.hasPrefix("virtual_server ") }
      let named = result.findings.count { $0.path.hasPrefix("virtual_server ") }
      #expect(result.tables.count + named >= count, "\(name): \(lines(result.findings))")
    }
    #expect(services >= 11)
  }

  /// Passwords where keepalived.conf(5) has them, and where only a slip puts them.
  @Test func noPasswordIsPrinted() {
    let result = KeepalivedImport(
      """
      $PASSWORD=s3cret
      auth_pass s3cret
      vrrp_instance VI_1 { authentication { auth_pass s3cret } }
      virtual_server 192.0.2.1 80 {
        lb_kind DR
        auth_pass s3cret
        real_server 192.0.2.11 80 {
          password s3cret
          MISC_CHECK {
            misc_path "check --password s3cret"
            user s3cret
          }
          HTTP_GET { url { path /?token=s3cret
            digest s3cret } }
        }
      }
      """)
    let said = lines(result.findings)
    #expect(said.filter { $0.contains("s3cret") } == [])
    for place in ["1: $PASSWORD: ", "2: auth_pass: ", "6: auth_pass: ", "8: password: "] {
      #expect(said.contains { $0.hasPrefix("line \(place)") }, "\(place) in \(said)")
    }
  }

  @Test func damagedFilesAreReadToTheirEnd() {
    var seed = Seed(41)
    let whole = Array(
      "virtual_server group \"x\" {\n lb_kind DR\n real_server 1.2.3.4 80 {\n}\n}\n".utf8)
    for _ in 0..<2000 {
      var octets = whole
      for _ in 0...Int.random(in: 0...6, using: &seed) {
        let place = Int.random(in: 0..<octets.count, using: &seed)
        octets[place] = [0x7b, 0x7d, 0x22, 0x0a, 0x21, 0xff, 0].randomElement(using: &seed)!
      }
      _ = KeepalivedImport(String(decoding: octets, as: UTF8.self))
    }
  }
}

extension Requirement {
  static let samples = "/usr/share/doc/keepalived/samples"

  static let keepalivedSamples = Requirement {
    FileManager.default.fileExists(atPath: samples)
      ? .present : .absent("no \(samples): keepalived is not installed, or without its documents")
  }
}
