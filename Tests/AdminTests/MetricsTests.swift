// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import Logging
import TestSupport
import Testing

@testable import AdminServer
@testable import ControlPlane

/// Prometheus' text format (prometheus.io, "Exposition formats"), and what is made from it.
@Suite struct MetricsTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../Sources/AdminServer/Metrics").standardized

  @Test func labelsAreEscaped() {
    var text = MetricsText()
    let family = text.family("x_total", .counter, "Help.")
    text.add(3, ["a": "q\"\\\n", "b": ""], to: family)
    text.add(UInt64.max, to: family)
    #expect(
      text.text == """
        # HELP x_total Help.
        # TYPE x_total counter
        x_total{a="q\\"\\\\\\n",b=""} 3
        x_total 18446744073709551615

        """)
  }

  /// "Histograms and summaries": buckets are cumulative, the last one's bound is infinite.
  @Test func histogramsAreCumulative() {
    var text = MetricsText()
    let family = text.family("x_seconds", .histogram, "Help.")
    text.add(
      DoublingHistogram(counts: [3, 0, 2], sum: 9), bounds: [0.001, 0.002], sum: 0.009,
      [("queue", "0")], to: family)
    #expect(
      text.text == """
        # HELP x_seconds Help.
        # TYPE x_seconds histogram
        x_seconds_bucket{queue="0",le="0.001"} 3
        x_seconds_bucket{queue="0",le="0.002"} 3
        x_seconds_bucket{queue="0",le="+Inf"} 5
        x_seconds_sum{queue="0"} 0.009
        x_seconds_count{queue="0"} 5

        """)
  }

  @Test(arguments: [
    ("127.0.0.1:9749", "127.0.0.1:9749"), ("[::1]:1", "[::1]:1"), ("0.0.0.0:65535", nil),
    ("::1:9749", "refused"), ("[127.0.0.1]:80", "refused"), ("127.0.0.1", "refused"),
    ("127.0.0.1:0", "refused"), ("127.0.0.1:65536", "refused"), (":80", "refused"),
    ("localhost:80", "refused"), ("1.2.3.4\0:80", "refused"), ("", "refused"),
  ])
  func endpoints(text: String, expected: String?) {
    #expect((TCPEndpoint(text)?.description ?? "refused") == expected ?? text)
  }

  /// What the operator's table says is what Prometheus gets, over the control socket too.
  @Test func figuresAreTheTables() async throws {
    try await AdminDesk.serve(plane: InProcessPlane(workers: 2)) { desk in
      #expect(await desk.ipvsadm("-A -t 192.168.1.149:80 -s rr").exitCode == 0)
      #expect(await desk.ipvsadm("-a -t 192.168.1.149:80 -r 192.168.1.151 -w 7").exitCode == 0)
      let syn = PacketBuilder(from: "10.0.0.9", to: "192.168.1.149")
      #expect(desk.plane.desks[0].forward(syn).verdict.isForward)
      let path = desk.socketPath
      let answer = try #require(await onThread { RawClient.get("/metrics", at: path) })
      #expect(answer.status == 200)
      let lines = String(decoding: answer.content, as: UTF8.self).split(separator: "\n")
      let labels = #"service="TCP 192.168.1.149:80",real_server="192.168.1.151""#
      for line in [
        #"martinet_service_connections_total{service="TCP 192.168.1.149:80"} 1"#,
        #"martinet_service_bytes_total{service="TCP 192.168.1.149:80"} 40"#,
        #"martinet_queue_connections_total{queue="0"} 1"#,
        #"martinet_queue_forwarded_bytes_total{queue="0"} 40"#,
        #"martinet_queue_forwarded_bytes_total{queue="1"} 0"#,
        "martinet_real_server_packets_total{\(labels)} 1",
        "martinet_real_server_active_connections{\(labels)} 1",
        "martinet_real_server_weight{\(labels)} 7", "martinet_real_server_resolved{\(labels)} 1",
        "martinet_snapshot_generation \(await desk.director.snapshotGeneration)",
      ] {
        #expect(lines.contains(Substring(line)), "\(line)")
      }
    }
  }

  /// What `ipvsadm --rate` shows is there without a query, for each that packets are counted by.
  @Test func ratesAreTheTables() async throws {
    try await AdminDesk.serve { desk in
      #expect(await desk.ipvsadm("-A -t 192.168.1.149:80 -s rr").exitCode == 0)
      #expect(await desk.ipvsadm("-a -t 192.168.1.149:80 -r 192.168.1.151").exitCode == 0)
      for number in UInt16(1)...200 {
        let syn = PacketBuilder(from: "10.0.0.9", to: "192.168.1.149").with {
          $0.sourcePort = Port(number)
        }
        #expect(desk.plane.forward(syn).verdict.isForward)
        let other = syn.with { $0.destinationPort = Port(81) }
        #expect(desk.plane.forward(other).verdict.dropReason == .noService)
      }
      await desk.director.estimateRates()
      let shown = await desk.ipvsadm("-L -n --rate").output
      let words = shown.split(separator: "\n").last?.split(separator: " ").dropFirst() ?? []
      #expect(words == ["192.168.1.151:80", "25", "25", "0", "1000", "0"], "\(shown)")
      let text = await desk.director.metrics()
      let lines = Set(text.split(separator: "\n"))
      let service = #"service="TCP 192.168.1.149:80""#
      for (object, labels) in [
        ("service", service), ("real_server", service + #",real_server="192.168.1.151""#),
        ("queue", #"queue="0""#),
      ] {
        for (figure, value) in [("connections", 25), ("packets", 25), ("bytes", 1000)] {
          let name = "martinet_\(object)_\(figure)_per_second"
          #expect(text.contains("# TYPE \(name) gauge\n"), "\(name)")
          #expect(lines.contains("\(name){\(labels)} \(value)"), "\(name)")
        }
      }
      // Frames of 60 octets, the least that Ethernet has.
      let labels = #"{queue="0",reason="no_service",normal="true"}"#
      for (figure, value) in [
        ("packets_total", 200), ("bytes_total", 12_000), ("packets_per_second", 25),
        ("bytes_per_second", 1500),
      ] {
        #expect(lines.contains("martinet_dropped_\(figure)\(labels) \(value)"), "\(figure)")
      }
    }
  }

  /// As the listing and the API: what is left, the oldest, the time to empty and to the end.
  @Test func drainsAreTheListings() {
    var text = MetricsText()
    let address = IPAddress("192.168.1.151")!
    text.describe([
      DrainStatus(
        service: .web, realServer: RealServerConfiguration(address: address, port: Port(80)),
        phase: .draining, end: .purge, elapsedSeconds: 30, secondsToDeadline: 270,
        initialConnections: 8, connections: 5, oldestSeconds: 900, secondsToEmpty: 50)
    ])
    let labels =
      #"{service="TCP 192.168.1.149:80",real_server="192.168.1.151",then="purge"}"#
    #expect(
      text.text.split(separator: "\n").filter { !$0.hasPrefix("#") } == [
        "martinet_drain_connections\(labels) 5",
        "martinet_drain_oldest_connection_seconds\(labels) 900",
        "martinet_drain_elapsed_seconds\(labels) 30", "martinet_drain_empty_seconds\(labels) 50",
        "martinet_drain_deadline_seconds\(labels) 270",
      ])
  }

  @Test(.requires(.commands("promtool")))
  func promtoolFindsNothing() async throws {
    let text = try await Self.text()
    let file = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString)"
    try text.write(toFile: file, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(atPath: file) }
    let check = try Child.run(["sh", "-c", "promtool check metrics < \(file)"])
    #expect(check.ending == .exit(0) && check.output.isEmpty, "\(check.output)")
    for command in [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts.test.yaml"]] {
      let path = Self.folder.appending(path: command[2]).path
      let rules = try Child.run(["promtool"] + command.dropLast() + [path])
      #expect(rules.ending == .exit(0), "\(rules.output)")
    }
  }

  /// A panel or a rule over a figure that is not there would stay silent for ever.
  @Test(arguments: ["alerts.yaml", "alerts.test.yaml", "dashboard.json"])
  func everyFigureThatIsWatchedExists(name: String) async throws {
    let text = try await Self.text()
    let file = try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)
    let names = Set(
      file.matches(of: /martinet_[a-z_0-9]+/).map { $0.output.replacing(/_bucket$/, with: "") })
    #expect(names.count > 5)
    for name in names {
      #expect(text.contains("# TYPE \(name) "), "\(name)")
    }
    if name.hasSuffix(".json") {
      #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(file.utf8)) }
    }
  }

  /// Of a service with two checks that have the same words.
  private static func text() async throws -> String {
    let director = Director(
      plane: try InProcessPlane(), neighbors: StatedNeighbors.site(), checks: StatedChecks(),
      logger: .init(label: "test") { _ in SwiftLogNoOpLogHandler() })
    try await director.addService(ServiceConfiguration(key: .web, scheduler: .rr))
    try await director.addRealServer(
      RealServerConfiguration(address: IPAddress("192.168.1.151")!, port: Port(80)), to: .web)
    var (health, other) = (ServiceHealth(), HealthCheck(.tcp))
    other.schedule.rise = 9
    health.checks = [HealthCheck(.tcp), other]
    try await director.setHealth(health, of: .web)
    try await director.settle()
    let text = await director.metrics()
    #expect(text.contains("martinet_service_quorum{service=\"TCP 192.168.1.149:80\"} 1\n"))
    #expect(text.contains("\nmartinet_build_info{"))
    #expect(text.matches(of: /martinet_check_up{check="tcp 192.168.1.151:80"/).count == 2)
    return text
  }
}
