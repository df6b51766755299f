// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import ControlPlane

/// What a reload would do, in the words of two files.
@Suite struct SiteDifferenceTests {
  private static let before = """
    interface: {name: lan0}
    timeouts: {tcp: 900}
    marks:
    - {mark: 1, match: [{vip: 192.168.1.148, protocol: tcp, ports: 80}]}
    - {mark: 2, match: [{vip: 192.168.1.147, protocol: tcp, ports: 80}]}
    services:
    - vip: 192.168.1.149
      protocol: tcp
      port: 80
      health: {quorum: 2}
      real-servers:
      - {address: 192.168.1.151, checks: [{kind: command, command: /bin/check -p one}]}
      - {address: 192.168.1.152}
      - {address: 192.168.1.153}
    - vip: 192.168.1.149
      protocol: udp
      port: 53
      real-servers: [{address: 192.168.1.151}]
    - {vip: 192.168.1.149, protocol: tcp, port: 22}

    """

  private static let after = """
    interface: {name: lan0, busy-poll: true}
    timeouts: {tcp: 60}
    marks:
    - {mark: 1, match: [{vip: 192.168.1.148, protocol: tcp, ports: 81}]}
    - {mark: 3, match: [{vip: 192.168.1.146, protocol: tcp, ports: 80}]}
    services:
    - {vip: 192.168.1.149, protocol: tcp, port: 22}
    - vip: 192.168.1.149
      protocol: tcp
      port: 80
      scheduler: rr
      health: {quorum: 2, sorry-server: 192.168.1.159}
      real-servers:
      - {address: 192.168.1.154}
      - {address: 192.168.1.152, weight: 7}
      - {address: 192.168.1.151, checks: [{kind: command, command: /bin/check -p two}]}
    - vip: 192.168.1.149
      protocol: tcp
      port: 443
      real-servers: [{address: 192.168.1.151}]

    """

  /// Another order is no change; what is hidden changes by its digest.
  @Test func everyObjectIsNamedOnce() throws {
    let (before, after) = (
      try SiteConfiguration(yaml: Self.before), try SiteConfiguration(yaml: Self.after)
    )
    #expect(before.changes(from: before) == [])
    let web = "service TCP 192.168.1.149:80"
    #expect(
      after.changes(from: before).map {
        let details = $0.details.joined(separator: ", ")
        return "\($0.action) \($0.object)" + (details.isEmpty ? "" : ": \(details)")
      } == [
        "change director: interface.busy-poll false -> true",
        "change mark 1: match[0].ports 80 -> 81", "remove mark 2", "add mark 3",
        "add service TCP 192.168.1.149:443",
        "add service TCP 192.168.1.149:443, real server 192.168.1.151",
        "change \(web): health.sorry-server none -> 192.168.1.159, scheduler wlc -> rr",
        "change \(web), real server 192.168.1.151: "
          + "checks[0].command /bin/check #713b -> /bin/check #7879",
        "change \(web), real server 192.168.1.152: weight 1 -> 7",
        "remove \(web), real server 192.168.1.153", "add \(web), real server 192.168.1.154",
        "remove service UDP 192.168.1.149:53",
        "remove service UDP 192.168.1.149:53, real server 192.168.1.151",
        "change timeouts: tcp 900 -> 60",
      ])
  }
}
