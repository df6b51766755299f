// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport

/// The LAN with everything on it that answers: the real servers own the VIPs and run nginx on
/// ports 80 and 8080 and a UDP service on port 53, each answering with its own name.
final class ServedLan {
  static let web = "-t \(Lan.vip):80"
  static let web6 = "-t [\(Lan.vip6)]:80"
  /// A document of many segments, 1 MiB; /slow takes eight seconds for the same.
  static let large = String(repeating: "0123456789abcdef", count: 1 << 16)
  static let names = "-u \(Lan.vip):53"
  static let names6 = "-u [\(Lan.vip6)]:53"
  static let url = "http://\(Lan.vip)/"
  static let url6 = "http://[\(Lan.vip6)]/"

  let lan: Lan
  /// By the host's name.
  private var nginx: [String: Child] = [:]
  private var names: [DatagramServer] = []
  private let folder = NSTemporaryDirectory() + "martinet-test-" + UUID().uuidString

  init(directorQueues: Int = 1) throws {
    lan = try Lan(directorQueues: directorQueues)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Self.large.write(toFile: "\(folder)/large", atomically: true, encoding: .utf8)
    for host in lan.realServers {
      try host.run("\(RunningDirector.executable) realserver up \(Lan.vip) \(Lan.vip6)")
      try startNginx(on: host)
      for vip in [Lan.vip, Lan.vip6] {
        names.append(try DatagramServer(on: host, address: vip, port: 53, answer: host.name))
      }
    }
  }

  deinit {
    for host in lan.realServers { stopNginx(on: host) }
    try? FileManager.default.removeItem(atPath: folder)
  }

  func stopNginx(on host: Machine) {
    guard let program = nginx.removeValue(forKey: host.name) else { return }
    program.send(SIGTERM)
    _ = program.wait(seconds: 5)
  }

  func startNginx(on host: Machine) throws {
    let configuration = "\(folder)/\(host.name).conf"
    try """
    daemon off; master_process off; pid \(folder)/\(host.name).pid; error_log stderr;
    events {}
    http {
      access_log off; client_body_temp_path \(folder); proxy_temp_path \(folder);
      fastcgi_temp_path \(folder); uwsgi_temp_path \(folder); scgi_temp_path \(folder);
      server {
        listen 80; listen [::]:80; listen 8080; listen [::]:8080;
        location / { return 200 "\(host.name)\\n"; }
        location = /large { root \(folder); }
        location = /slow { alias \(folder)/large; limit_rate 128k; }
      }
    }
    """.write(toFile: configuration, atomically: true, encoding: .utf8)
    let program = try host.start(["nginx", "-e", "stderr", "-c", configuration])
    nginx[host.name] = program
    let answers = try waitUntil { try host.curl("http://127.0.0.1/") == .body(host.name) }
    guard answers else { throw Failure("nginx on \(host.name): \(program.output)") }
  }

  /// Answers to `count` requests of the client.
  func ask(_ count: Int, _ url: String = ServedLan.url) throws -> [Reply] {
    try (0..<count).map { _ in try lan.client.curl(url) }
  }

  /// One datagram to the VIP's port 53 and what came back; empty when nothing did.
  func query(fromPort port: UInt16, _ text: String = "?") throws -> String {
    try DatagramSocket(on: lan.client, address: "10.0.0.2", port: port)
      .ask(text, of: Lan.vip, port: 53)
  }
}
