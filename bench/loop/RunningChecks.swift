// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import DataPlane
import Foundation
import Glibc
import Logging

/// A thousand TCP checks a second by this process, on the first CPU. An eBPF program
/// (`checks/servers.bpf.c`) answers on the loopback interface.
final class RunningChecks {
  private static let perSecond = 1000

  private let loop: CheckLoop
  private let checks: Set<CheckInstance>
  private var started = ContinuousClock.now

  init() throws {
    loop = try Crew.onFirstCPU {
      try CheckLoop(
        interfaces: [1], logger: Logger(label: "loop") { _ in SwiftLogNoOpLogHandler() })
    }
    let port = Port(80)
    var check = HealthCheck(.tcp, port: port)
    check.schedule.intervalMilliseconds = 1000
    checks = Set(
      (0..<UInt32(Self.perSecond)).map {
        let realServer = RealServerConfiguration(
          address: .v4(IPv4Address(rawValue: 0x7f00_0100 + $0)), port: port)
        let key = VirtualServiceKey(
          address: realServer.address, ipProtocol: .tcp, port: port)
        return CheckInstance(check, of: realServer, in: key)
      })
  }

  deinit { loop.stop() }

  /// The first thousand begin a millisecond after each other: from here on it is so many a second.
  func start() {
    started = .now
    _ = loop.make(checks, neighbors: [:])
  }

  /// Throws if one was not answered, or if they were fewer than the time since `start` should have.
  func stop() throws {
    let seconds = (ContinuousClock.now - started) / .seconds(1)
    let statuses = loop.statuses()
    _ = loop.make([], neighbors: [:])
    if let failed = statuses.first(where: { $0.lastFailure != nil }) {
      throw ChecksFailed(description: "\(failed.instance): \(failed.lastFailure!)")
    }
    let answered = statuses.reduce(0) { $0 + $1.successes }
    // The last beat's are under way, and some come later by their jitter.
    guard Double(answered) >= 0.8 * seconds * Double(Self.perSecond) - 50 else {
      throw ChecksFailed(description: "only \(answered) checks were answered in \(seconds) s")
    }
  }
}

struct ChecksFailed: Error, CustomStringConvertible {
  let description: String
}
