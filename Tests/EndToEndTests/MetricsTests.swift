// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

/// A real Prometheus beside a real director.
extension EndToEnd {
  @Suite(.serialized, .requires(.commands("prometheus"))) struct MetricsTests {
    private static let endpoint = "127.0.0.1:9749"

    @Test func prometheusScrapesTheDirector() throws {
      let served = try ServedLan()
      let host = served.lan.director
      let director = try RunningDirector(on: host, ["--copy", "--metrics", Self.endpoint])
      try director.serve(ServedLan.web, ["192.168.1.151", "192.168.1.152"])
      let replies = try served.ask(4)
      #expect(replies.allSatisfy { [.body("rs1"), .body("rs2")].contains($0) }, "\(replies)")
      let prometheus = try Prometheus(on: host, target: Self.endpoint)
      for (query, value) in [
        ("sum(martinet_real_server_connections_total)", "4"),
        (#"martinet_service_connections_total{service="TCP \#(Lan.vip):80"}"#, "4"),
        ("sum(martinet_real_server_resolved)", "2"), (#"up{job="martinet"}"#, "1"),
        ("sum(martinet_queue_forwarded_total) > bool 16", "1"),
        (
          "sum(martinet_queue_forwarded_bytes_total) == bool sum(martinet_service_bytes_total)", "1"
        ),
        ("sum(martinet_queue_forwarded_bytes_total) > bool 160", "1"),
        ("sum(martinet_queue_connections_total)", "4"),
        ("sum(martinet_real_server_bytes_per_second) >= bool 0", "1"),
        ("sum(martinet_batch_packets_count) == bool sum(martinet_queue_batches_total)", "1"),
        ("sum(martinet_batch_packets_sum) == bool sum(martinet_queue_received_total)", "1"),
        ("histogram_quantile(0.5, sum by (le) (martinet_batch_packets_bucket)) >= bool 0", "1"),
        ("sum(martinet_forwarding_seconds_count) > bool 0", "1"),
        ("sum(martinet_forwarding_seconds_sum) > bool 0", "1"),
      ] {
        let isSeen = try waitUntil(seconds: 30) { try prometheus.value(of: query) == value }
        let answer = try prometheus.answer(to: query)
        #expect(isSeen, "\(query): \(answer)")
      }
    }

    /// Who reaches the figures reaches nothing else.
    @Test func onlyFiguresAreToBeHad() throws {
      let wire = try Wire()
      let director = try RunningDirector(
        on: wire.director, ["--copy", "--metrics", Self.endpoint])
      func status(_ arguments: String...) throws -> String {
        try wire.director.finish(
          ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-m", "5"] + arguments
        ).output
      }
      // A scrape configuration's `params` may be for other exporters: they do the same.
      for target in ["metrics", "metrics?collect%5B%5D=cpu"] {
        #expect(try status("http://\(Self.endpoint)/\(target)") == "200")
      }
      #expect(try status("http://\(Self.endpoint)/v1/services") == "404")
      #expect(try status("-X", "POST", "http://\(Self.endpoint)/metrics") == "405")
      #expect(try status("-X", "DELETE", "http://\(Self.endpoint)/v1/services") == "404")
      #expect(try director.isAttached)
    }

    @Test func anAddressThatCannotBeHadIsNamed() throws {
      let wire = try Wire()
      let (ending, output) = try wire.director.finish(
        RunningDirector.command(
          ["--copy", "--metrics", "192.0.2.9:9749"],
          control: NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString)"), seconds: 30)
      #expect(ending == .exit(69), "\(output)")
      #expect(output.contains("metrics address 192.0.2.9:9749: cannot listen"), "\(output)")
    }
  }
}

/// A Prometheus that scrapes one target every second, on the target's host.
private final class Prometheus {
  private let host: Machine
  private let process: Child
  private let folder: String

  init(on host: Machine, target: String) throws {
    self.host = host
    folder = NSTemporaryDirectory() + "martinet-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try """
    global: {scrape_interval: 1s}
    scrape_configs: [{job_name: martinet, static_configs: [{targets: ["\(target)"]}]}]
    """.write(toFile: "\(folder)/prometheus.yml", atomically: true, encoding: .utf8)
    process = try host.start([
      "prometheus", "--config.file=\(folder)/prometheus.yml", "--storage.tsdb.path=\(folder)/data",
      "--web.listen-address=127.0.0.1:9090",
    ])
  }

  deinit {
    process.send(SIGTERM)
    _ = process.wait(seconds: 10)
    try? FileManager.default.removeItem(atPath: folder)
  }

  func answer(to query: String) throws -> String {
    try host.finish([
      "curl", "-sG", "-m", "5", "--data-urlencode", "query=\(query)",
      "http://127.0.0.1:9090/api/v1/query",
    ]).output
  }

  /// The value of a query that gives one; nil where it gives none, or there is no answer yet.
  func value(of query: String) throws -> String? {
    let document = try? JSONSerialization.jsonObject(with: Data(answer(to: query).utf8))
    let data = (document as? [String: Any])?["data"] as? [String: Any]
    let result = (data?["result"] as? [[String: Any]])?.first?["value"] as? [Any]
    return result?.last as? String
  }
}
