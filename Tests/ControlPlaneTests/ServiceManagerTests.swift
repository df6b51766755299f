// SPDX-License-Identifier: Apache-2.0
import Foundation
import Logging
import TestSupport
import Testing

@testable import ControlPlane

/// sd_notify(3) and sd_watchdog_enabled(3), as their manual pages have them.
@Suite struct ServiceManagerTests {
  private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  private static func socketName() -> String {
    "/tmp/martinet-test-\(UUID().uuidString.prefix(8)).notify"
  }

  @Test(arguments: ["", "@"]) func wordsArrive(prefix: String) throws {
    let socket = try NotifySocket(prefix + Self.socketName())
    let manager = try #require(
      ServiceManager(environment: ["NOTIFY_SOCKET": socket.name], logger: Self.logger))
    manager.tell(.ready, .status("all is well\nREADY=0"))
    #expect(socket.receive() == ["READY=1", "STATUS=all is well"])
    manager.tell(.alive)
    #expect(socket.receive() == ["WATCHDOG=1"])
    manager.tell(.stopping)
    #expect(socket.receive() == ["STOPPING=1"])
  }

  /// The time of CLOCK_MONOTONIC goes with it: sd_notify(3) on RELOADING=1.
  @Test func aReloadSaysWhenItBegan() throws {
    let socket = try NotifySocket(Self.socketName())
    let manager = try #require(
      ServiceManager(environment: ["NOTIFY_SOCKET": socket.name], logger: Self.logger))
    let before = monotonicSeconds()
    manager.tell(.reloading)
    let lines = socket.receive()
    #expect(lines.first == "RELOADING=1" && lines.count == 2)
    let word = lines.last?.split(separator: "=")
    #expect(word?.first == "MONOTONIC_USEC")
    let seconds = try #require(word?.last.flatMap { UInt64($0) }.map { Double($0) / 1e6 })
    #expect(seconds >= before - 1e-3 && seconds <= monotonicSeconds())
  }

  @Test(
    arguments: [
      nil, "", "run/notify", "vsock:2:1", "@", "/" + String(repeating: "x", count: 108), "/a\0b",
    ] as [String?])
  func namesThatAreNoSocket(name: String?) {
    let environment = name.map { ["NOTIFY_SOCKET": $0] } ?? [:]
    #expect(ServiceManager(environment: environment, logger: Self.logger) == nil)
  }

  @Test func nobodyAtTheSocketIsNoHarm() throws {
    let manager = try #require(
      ServiceManager(
        environment: ["NOTIFY_SOCKET": "/nonexistent/notify"], logger: Self.logger))
    manager.tell(.ready)
  }

  @Test func theWatchdogsInterval() {
    for (microseconds, process, interval) in [
      ("10000000", nil, .seconds(10)), ("1", "\(getpid())", .microseconds(1)),
      ("10000000", "1", nil), ("0", nil, nil), ("-5", nil, nil), ("soon", nil, nil),
      (nil, nil, nil),
    ] as [(String?, String?, Duration?)] {
      var environment = ["NOTIFY_SOCKET": "@martinet-test"]
      environment["WATCHDOG_USEC"] = microseconds
      environment["WATCHDOG_PID"] = process
      let manager = ServiceManager(environment: environment, logger: Self.logger)
      #expect(manager?.watchdogInterval == interval, "\(environment)")
    }
  }

  /// Workers that sweep are alive; one of two that does not silences the watchdog, and its return
  /// gives it back its voice.
  @Test func onlyTurningWorkersAreAlive() async throws {
    let plane = try InProcessPlane(workers: 2)
    let director = Director(
      plane: plane, neighbors: StatedNeighbors.site(), logger: Self.logger)
    let socket = try NotifySocket("@martinet-test-\(UUID().uuidString)")
    let manager = try #require(
      ServiceManager(
        environment: ["NOTIFY_SOCKET": socket.name, "WATCHDOG_USEC": "400000"],
        logger: Self.logger))
    let watchdog = Watchdog(director: director, manager: manager, logger: Self.logger)
    let watching = Task { await watchdog.run() }
    defer { watching.cancel() }
    func isHeard(turning: Int) async throws -> Bool {
      while !socket.receive(seconds: 0).isEmpty {}
      for _ in 0..<60 {
        for desk in plane.desks.prefix(turning) { desk.sweepAll() }
        try await Task.sleep(for: .milliseconds(10))
      }
      return !socket.receive(seconds: 0).isEmpty
    }
    #expect(try await isHeard(turning: 2))
    _ = try await isHeard(turning: 1)
    #expect(try await !isHeard(turning: 1))
    #expect(try await isHeard(turning: 2))
  }
}
