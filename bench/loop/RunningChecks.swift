// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import DataPlane
import Foundation
import Glibc
import Logging

/// A thousand TCP checks a second by this process, and who answers them: all on the first CPU.
final class RunningChecks {
  private static let perSecond = 1000

  private let loop: CheckLoop
  private let listener: Int32
  private let checks: Set<CheckInstance>
  private var started = ContinuousClock.now

  init() throws {
    let (listener, port) = try Self.listeningSocket()
    self.listener = listener
    loop = try Crew.onFirstCPU {
      Thread.detachNewThread { Self.answer(listener) }
      return try CheckLoop(
        interfaces: [1], logger: Logger(label: "loop") { _ in SwiftLogNoOpLogHandler() })
    }
    var check = HealthCheck(.tcp, port: Port(port))
    check.schedule.intervalMilliseconds = 1000
    checks = Set(
      (0..<UInt32(Self.perSecond)).map {
        let realServer = RealServerConfiguration(
          address: .v4(IPv4Address(rawValue: 0x7f00_0100 + $0)), port: Port(port))
        let key = VirtualServiceKey(
          address: realServer.address, ipProtocol: .tcp, port: Port(port))
        return CheckInstance(check, of: realServer, in: key)
      })
  }

  deinit {
    loop.stop()
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

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

  private static func listeningSocket() throws -> (descriptor: Int32, port: UInt16) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isListening = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0 && listen(descriptor, 1024) == 0
          && getsockname(descriptor, $0, &size) == 0
      }
    }
    guard isListening else { throw ChecksFailed(description: "listen: errno \(errno)") }
    return (descriptor, UInt16(bigEndian: address.sin_port))
  }

  private static func answer(_ listener: Int32) {
    while case let connection = accept(listener, nil, nil), connection >= 0 { close(connection) }
  }
}

struct ChecksFailed: Error, CustomStringConvertible {
  let description: String
}
