// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import Foundation
import TestSupport

extension ServedLan {
  /// A director whose configuration file has `health`, in YAML, for the web service.
  ///
  /// - Parameters:
  ///   - own: more keys of .151.
  ///   - others: the real servers behind it.
  ///   - more: services behind this one.
  func director(
    scheduler: String = "rr", health: String, own: String = "",
    others: String = ", {address: 192.168.1.152}", more: String = "", _ arguments: [String] = []
  ) throws -> RunningDirector {
    let path = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString).yaml"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try """
    interface: {name: lan0, copy-mode: copy}
    services:
    - vip: \(Lan.vip)
      protocol: tcp
      port: 80
      scheduler: \(scheduler)
      health: \(health)
      real-servers: [{address: 192.168.1.151\(own)}\(others)]
    \(more)
    """.write(toFile: path, atomically: true, encoding: .utf8)
    return try RunningDirector(on: lan.director, ["--config", path] + arguments)
  }

  /// Whether clients come to see these and no others.
  func isAnswered(by names: Set<String>) throws -> Bool {
    let expected = Set(names.map { String(describing: Reply.body($0)) })
    return try waitUntil(seconds: 20) {
      Set(try ask(6).map(String.init(describing:))) == expected
    }
  }
}

extension RunningDirector {
  func checks() throws -> [CheckReport] {
    try JSONDecoder().decode([CheckReport].self, from: Data(get("checks").utf8))
  }
}
