// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension ServiceHealth {
  /// The section `health` of the service `key`: there if anything is checked or follows.
  mutating func visit(_ form: inout ConfigurationForm, of key: VirtualServiceKey) {
    let own = ownChecks
    ownChecks = [:]
    var present = isEmpty ? nil : self
    form.section("health", &present, new: ServiceHealth()) { form, health in
      health.checks.visit(&form, askingPort: key.mark == nil ? key.port : nil)
      form.field("on-failure", .oneOf, &health.onFailure)
    }
    self = present ?? ServiceHealth()
    ownChecks = own
  }
}

extension [HealthCheck] {
  /// The list `checks`.
  ///
  /// - Parameter port: where they ask unless they say; nil where that is for each real server.
  mutating func visit(_ form: inout ConfigurationForm, askingPort port: Port?) {
    form.list("checks", &self, new: HealthCheck(.tcp)) { form, check in
      check.visit(&form)
      guard let port else { return }
      let check = check
      form.check { () throws(HealthCheckError) in try check.validate(port) }
    }
  }
}

extension [HealthCheck]? {
  /// The same; nil where there are none.
  mutating func visit(_ form: inout ConfigurationForm, askingPort port: Port) {
    var checks = self ?? []
    checks.visit(&form, askingPort: port)
    self = checks.isEmpty ? nil : checks
  }
}

extension HealthCheck {
  fileprivate mutating func visit(_ form: inout ConfigurationForm) {
    form.required("kind", .kind, &kind)
    form.field("port", .checkedPort, &port)
    form.field("interval", .seconds(from: 100), &schedule.intervalMilliseconds)
    form.field("timeout", .seconds(from: 10), &schedule.timeoutMilliseconds)
    form.field("rise", .number(1...255), &schedule.rise)
    form.field("fall", .number(1...255), &schedule.fall)
    form.field("jitter", .number(0...50), &schedule.jitterPercent)
    form.field("initial", .oneOf, &schedule.initial)
  }
}

extension ConfigurationField<HealthCheck.Kind> {
  fileprivate static let kind = word([("tcp", .tcp)])
}

extension ConfigurationField<Port> {
  fileprivate static let checkedPort = Self(
    expected: "a number from 1 to 65535",
    parse: { text in UInt16(text).flatMap { $0 == 0 ? nil : Port($0) } },
    text: { String($0.rawValue) })
}

extension ConfigurationField<UInt32> {
  /// Milliseconds, written as seconds with up to three decimals; at most a day.
  static func seconds(from least: UInt32) -> Self {
    Self(
      expected: "a number of seconds from \(text(least)) to 86400",
      parse: { text in
        guard text.utf8.allSatisfy({ 0x30...0x39 ~= $0 || $0 == 0x2e }), let value = Double(text),
          (Double(least) / 1000...86_400).contains(value)
        else { return nil }
        return UInt32((value * 1000).rounded())
      }, text: text)
  }

  @Sendable private static func text(_ milliseconds: UInt32) -> String {
    let rest = milliseconds % 1000
    guard rest != 0 else { return String(milliseconds / 1000) }
    var decimals = String(String(1000 + rest).dropFirst())
    while decimals.hasSuffix("0") { decimals.removeLast() }
    return "\(milliseconds / 1000).\(decimals)"
  }
}
