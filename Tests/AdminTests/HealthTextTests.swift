// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Testing

@testable import AdminAPI

/// What checks make of the tables that operators see.
@Suite struct HealthTextTests {
  private static func realServer(
    _ number: Int, weight: UInt32, _ health: HealthReport?
  ) -> RealServerReport {
    RealServerReport(
      realServer: RealServerAddress(address: IPAddress("192.168.1.15\(number)")!, port: Port(80)),
      weight: weight, isResolved: true, macAddress: nil, health: health)
  }

  private let service = ServiceReport(
    service: VirtualServiceKey(
      address: IPAddress("192.168.1.149")!, ipProtocol: .tcp, port: Port(80)), scheduler: .wrr,
    realServers: [
      realServer(1, weight: 7, HealthReport(isUp: false, isMember: true, effectiveWeight: 0)),
      realServer(2, weight: 8, HealthReport(isUp: false, isMember: false, effectiveWeight: 0)),
      realServer(3, weight: 9, HealthReport(isUp: true, isMember: true, effectiveWeight: 4)),
      realServer(
        4, weight: 1,
        HealthReport(isUp: true, isMember: true, effectiveWeight: 1, isSorryServer: true)),
      realServer(5, weight: 5, nil),
    ])

  /// The weight that packets are forwarded by, and no line for one that is taken out.
  @Test func listingsShowWhatIsInEffect() {
    let text = TableText(names: .none)
    for columns in [Listing.Columns.configuration, .clients] {
      let lines = text.services([service], columns: columns, isSorted: false)
        .split(separator: "\n").dropFirst(3).map { $0.split(separator: " ") }
      #expect(
        lines.map { $0[1] } == ["1", "3", "4", "5"].map { "192.168.1.15\($0):80" },
        "\(lines)")
      let weights = lines.map { $0[columns == .configuration ? 3 : 2] }
      #expect(weights == ["0", "4", "1", "5"], "\(lines)")
    }
  }

  /// What is saved is the operator's: his weights, all his real servers, and no other.
  @Test func rulesAreTheOperators() {
    let rules = TableText(names: .none).rules([service])
    #expect(
      rules.split(separator: "\n").dropFirst().map { $0.split(separator: " ").last! }
        == ["7", "8", "9", "5"], "\(rules)")
  }

  @Test func checksAreATable() {
    var check = CheckReport(
      number: 1, check: "tcp 192.168.1.151:80", realServer: IPAddress("192.168.1.151")!,
      isUp: true, sinceSeconds: 119.9, successes: 21, failures: 0, changes: 0,
      lastSeconds: 0.000_14, totalSeconds: 1, lastFailure: nil)
    let first = check
    (check.check, check.isUp, check.sinceSeconds) = ("ping 192.168.1.152", false, 200_000)
    (check.lastSeconds, check.failures, check.lastFailure) = (2, 12_345, "no answer within 2.0 s")
    #expect(
      CheckText.table([first, check]) == """
        Check                 State  Since  Last       Successes  Failures  Cause
        tcp 192.168.1.151:80  up     119 s  0.1 ms     21         0
        ping 192.168.1.152    down   2 d    2000.0 ms  21         12345     no answer within 2.0 s

        """)
  }
}
