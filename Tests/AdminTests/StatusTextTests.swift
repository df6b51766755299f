// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import AdminAPI

/// `martinet status` and the list of `martinet top`.
@Suite struct StatusTextTests {
  private static func server(
    _ number: Int, active: UInt64 = 0, packets: UInt64 = 0, isResolved: Bool = true
  ) -> RealServerReport {
    RealServerReport(
      realServer: RealServerAddress(
        address: IPAddress("192.168.1.15\(number)")!, port: Port(80)),
      weight: 1, activeConnections: active, isResolved: isResolved, macAddress: nil,
      rates: Counters(inPackets: packets))
  }

  private static func queue(_ number: Int, received: UInt64, dropped: UInt64) -> QueueReport {
    QueueReport(
      queue: number, worker: ["received": received],
      socket: .init(
        rxDropped: 0, rxInvalidDescriptors: 0, txInvalidDescriptors: 0, rxRingFull: 0,
        fillRingEmpty: 0, txRingEmpty: 0),
      drops: ["noConnection": dropped, "badHeader": 0], sideTraffic: [:], ipv4Connections: 3,
      ipv6Connections: 1, ipv4Entries: 8, ipv6Entries: 8, unrecorded: 0, evictions: [])
  }

  private static func status(received: UInt64 = 100, dropped: UInt64 = 0) -> StatusReport {
    StatusReport(
      table: TableReport(
        connectionCapacity: 16,
        services: [
          ServiceReport(
            service: .web, scheduler: .rr,
            rates: Counters(connections: 2, inPackets: 1500, inBytes: 125_000),
            realServers: [server(1, active: 1, packets: 5), server(2, active: 9, packets: 1)]),
          ServiceReport(
            service: .dns, scheduler: .wlc, realServers: [server(3, isResolved: false)]),
        ]),
      queues: [queue(0, received: received, dropped: dropped)])
  }

  private static func names(_ text: StatusText) -> [String] {
    text.list(status()).map { String($0.prefix(33).trimmed) }
  }

  @Test func theHead() {
    let head = StatusText().head(Self.status(dropped: 7))
    #expect(head[0] == "services 2, real servers 3, of which 2 take connections")
    #expect(head[1] == "connections 4 of 16, new 2/s, packets 1.5k/s, 1.0Mbit/s")
    #expect(head[2] == "dropped noConnection 7")
    #expect(head[5].split(separator: " ") == ["0", "100", "0", "0", "0", "0", "4"])
  }

  /// 300 more in two seconds, and a queue that was not there before.
  @Test func countersBecomeRates() {
    let interval = StatusText.Interval(since: Self.status(), seconds: 2)
    var now = Self.status(received: 400, dropped: 5)
    now.queues.append(Self.queue(1, received: 9, dropped: 0))
    let head = StatusText().head(now, over: interval)
    #expect(head[2] == "dropped noConnection 3/s")
    #expect(head[5].split(separator: " ").prefix(3) == ["0", "150/s", "0/s"])
    #expect(head[6].split(separator: " ").prefix(2) == ["1", "-"])
    #expect(StatusText().head(now, queueLimit: 1)[6] == "and 1 queues more")
  }

  @Test(
    arguments: [
      (.added, ["web", "151", "152", "dns", "153"]), (.name, ["web", "151", "152", "dns", "153"]),
      (.connections, ["web", "152", "151", "dns", "153"]),
      (.rate, ["web", "151", "152", "dns", "153"]),
      (.packets, ["web", "151", "152", "dns", "153"]),
      (.bytes, ["web", "151", "152", "dns", "153"]),
    ] as [(StatusText.Order, [String])])
  func sorting(order: StatusText.Order, expected: [String]) {
    let names = [
      "web": "TCP  192.168.1.149:80", "dns": "UDP  192.168.1.149:53", "151": "192.168.1.151",
      "152": "192.168.1.152", "153": "192.168.1.153",
    ]
    #expect(Self.names(StatusText(order: order)) == expected.map { names[$0]! })
  }

  @Test(
    arguments: [
      ("udp", ["UDP  192.168.1.149:53", "192.168.1.153"]),
      ("1.151", ["TCP  192.168.1.149:80", "192.168.1.151"]), ("none", []),
    ])
  func filtering(filter: String, expected: [String]) {
    #expect(Self.names(StatusText(filter: filter)) == expected)
  }

  @Test func whyAServerTakesNone() {
    let lines = StatusText().list(Self.status())
    #expect(lines.last?.hasSuffix(" unresolved") == true)
    #expect(lines[0].contains(" 2 of 2 "))
    var drained = Self.server(1)
    drained.drain = .draining
    #expect(drained.hindrance == "draining" && !drained.takesConnections)
  }

  @Test(
    arguments: [
      (0, "0"), (999, "999"), (1000, "1k"), (1500, "1.5k"), (9994, "9.99k"), (9996, "10k"),
      (99_949, "99.9k"), (99_951, "100k"), (999_499, "999k"), (999_500, "1M"),
      (UInt64.max, "18.4E"),
    ] as [(UInt64, String)])
  func shortNumbers(number: UInt64, text: String) {
    // A whole value may come with its zero.
    #expect(StatusText.short(number).replacing(".0", with: "") == text)
  }
}

extension StringProtocol {
  fileprivate var trimmed: String {
    String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }
}
