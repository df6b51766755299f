// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension ServiceHealth {
  /// The section `health` of the service `key`: there if anything is checked or follows.
  mutating func visit(_ form: inout ConfigurationForm, of key: VirtualServiceKey) {
    let own = ownChecks
    ownChecks = [:]
    var present = isEmpty ? nil : self
    form.section("health", &present, new: ServiceHealth()) { form, health in
      health.checks.visit(&form, of: key, askingPort: key.mark == nil ? key.port : nil)
      form.field("on-failure", .oneOf, &health.onFailure)
      form.field("quorum", .number(1...UInt32.max), &health.quorum)
      form.field("hysteresis", .number(0...UInt32.max), &health.hysteresis)
      form.field("sorry-server", .address, &health.sorryServer)
      form.field("slow-start", .number(0...86_400), &health.slowStartSeconds)
      let (quorum, hysteresis, sorryServer) = (
        health.quorum, health.hysteresis, health.sorryServer
      )
      form.check { () throws(HealthCheckError) in
        guard hysteresis < quorum else { throw .hysteresis }
      }
      form.check { () throws(DirectorError) in
        guard let sorryServer else { return }
        try RealServerConfiguration(address: sorryServer, port: key.port).validate(for: key)
      }
    }
    self = present ?? ServiceHealth()
    ownChecks = own
  }
}

extension [HealthCheck] {
  /// The list `checks`.
  ///
  /// - Parameter port: where they ask unless they say; nil where that is for each real server.
  mutating func visit(
    _ form: inout ConfigurationForm, of key: VirtualServiceKey, askingPort port: Port?
  ) {
    form.list("checks", &self, new: HealthCheck(.tcp)) { form, check in
      check.visit(&form)
      let check = check
      form.check { () throws(HealthCheckError) in
        try check.validate(in: key)
        if let port { try check.validate(port) }
      }
    }
  }
}

extension [HealthCheck]? {
  /// The same; nil where there are none.
  mutating func visit(
    _ form: inout ConfigurationForm, of key: VirtualServiceKey, askingPort port: Port
  ) {
    var checks = self ?? []
    checks.visit(&form, of: key, askingPort: port)
    self = checks.isEmpty ? nil : checks
  }
}

extension HealthCheck {
  fileprivate mutating func visit(_ form: inout ConfigurationForm) {
    form.required("kind", .kind, &kind)
    visitKind(&form)
    if kind.hasPort { form.field("port", .checkedPort, &port) }
    form.field("to", .oneOf, &target)
    form.field("interval", .seconds(from: 100), &schedule.intervalMilliseconds)
    form.field("timeout", .seconds(from: 10), &schedule.timeoutMilliseconds)
    form.field("rise", .number(1...255), &schedule.rise)
    form.field("fall", .number(1...255), &schedule.fall)
    form.field("jitter", .number(0...50), &schedule.jitterPercent)
    form.field("initial", .oneOf, &schedule.initial)
  }
}
