// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import Logging
import TestSupport
import Testing

@testable import ControlPlane

/// A configuration file that changes while its director runs.
@Suite struct RunningConfigurationTests {
  /// A director that was started with a file.
  private final class Bench {
    let desk: Desk
    let running: RunningConfiguration
    let path = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString).yaml"

    init(_ realServers: [String]) async throws {
      desk = try Desk()
      let file = ConfigurationFile(path: path)
      try Self.text(realServers).write(toFile: path, atomically: true, encoding: .utf8)
      let loaded = try file.read()
      running = RunningConfiguration(
        file: file, loaded: loaded, director: desk.director,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
      try await desk.director.apply(loaded)
      try await desk.director.settle()
    }

    deinit {
      for name in [path, path + ".old"] { try? FileManager.default.removeItem(atPath: name) }
    }

    static func text(_ realServers: [String], interface: String = "lan0") -> String {
      """
      # a comment
      interface: {name: \(interface)}
      services:
      - {vip: 192.168.1.149, protocol: tcp, port: 80, scheduler: rr, real-servers: [
          \(realServers.joined(separator: ", "))]}

      """
    }

    func write(_ realServers: [String], interface: String = "lan0") throws {
      try Self.text(realServers, interface: interface)
        .write(toFile: path, atomically: true, encoding: .utf8)
    }

    /// Last numbers and weights of the real servers, in the order of addition.
    func table() async throws -> [String] {
      try await desk.web().realServers.reversed().map {
        "\("\($0.configuration.address)".suffix(3)) \($0.configuration.weight)"
      }
    }

    func refusal(force: Bool = false, trialSeconds: UInt32? = nil) async -> ReloadError? {
      do {
        _ = try await running.reload(force: force, trialSeconds: trialSeconds)
        return nil
      } catch {
        return error
      }
    }
  }

  private static let first = "{address: 192.168.1.151}"
  private static let second = "{address: 192.168.1.152, weight: 3}"

  @Test func aPlanSaysWhatTheReloadDoes() async throws {
    let bench = try await Bench([Self.first])
    #expect(bench.desk.destination(syn(1)) == .realServer(1))
    try bench.write([Self.second])
    let plan = try await bench.running.plan()
    let web = "service TCP 192.168.1.149:80"
    #expect(
      plan.changes.map { "\($0.action) \($0.object)" } == [
        "remove \(web), real server 192.168.1.151", "add \(web), real server 192.168.1.152",
      ])
    #expect(plan.endingConnections == 1)
    #expect(plan.undone.isEmpty && plan.needsRestart.isEmpty)
    #expect(try await bench.table() == ["151 1"])
    #expect(try await bench.running.reload(force: false) == plan)
    #expect(try await bench.table() == ["152 3"])
    #expect(try await bench.running.plan().changes.isEmpty)
  }

  @Test func detailsAreInTheFilesWords() async throws {
    let bench = try await Bench([Self.first])
    try bench.write(["{address: 192.168.1.151, weight: 9, upper-threshold: 4}"])
    let plan = try await bench.running.plan()
    #expect(plan.changes.map(\.details) == [["upper-threshold 0 -> 4", "weight 1 -> 9"]])
  }

  @Test func aWrongFileChangesNothing() async throws {
    let bench = try await Bench([Self.first])
    let revision = await bench.desk.director.revision(of: .everything)
    try bench.write([Self.second, "{address: 10.9.9.9}"])
    guard case .refused(let refusals)? = await bench.refusal() else {
      Issue.record("it was taken")
      return
    }
    #expect(refusals.description.contains("10.9.9.9 is behind gateway"))
    try bench.write(["{address: 192.168.1.152, weigth: 3}"])
    guard case .file(.wrong(let sentences))? = await bench.refusal() else {
      Issue.record("it was taken")
      return
    }
    #expect(sentences.count == 1 && sentences[0].contains("the nearest is `weight`"))
    try FileManager.default.removeItem(atPath: bench.path)
    guard case .file(.unreadable)? = await bench.refusal() else {
      Issue.record("it was taken")
      return
    }
    #expect(try await bench.table() == ["151 1"])
    #expect(await bench.desk.director.revision(of: .everything) == revision)
  }

  @Test func whatNeedsARestartIsNamed() async throws {
    let bench = try await Bench([Self.first])
    try bench.write([Self.first, Self.second], interface: "lan1")
    #expect(await bench.refusal() == .needsRestart(["interface.name lan0 -> lan1"]))
    try Bench.text([Self.first, Self.second]).replacing(
      "interface: {name: lan0}", with: "interfaces: [{name: lan0}, {name: lan1}]"
    ).write(toFile: bench.path, atomically: true, encoding: .utf8)
    guard case .needsRestart(let fields) = await bench.refusal() else {
      Issue.record("it was taken")
      return
    }
    #expect(fields.contains("interfaces[1].name none -> lan1"), "\(fields)")
    #expect(try await bench.table() == ["151 1"])
  }

  /// Only what the reload would really take back is in its way.
  @Test func runtimeChangesAreNotUndoneByAccident() async throws {
    let bench = try await Bench([Self.first])
    try await bench.desk.director.editRealServer(.number(1, weight: 0), of: .web)
    try await bench.desk.director.addRealServer(.number(2, weight: 3), to: .web)
    try bench.write([Self.first, Self.second])
    let change = SiteChange(
      object: .realServer(IPAddress("192.168.1.151")!, .web), action: .change,
      details: ["weight 0 -> 1"])
    #expect(await bench.refusal() == .wouldUndo([change]))
    #expect(try await bench.table() == ["151 0", "152 3"])
    #expect(await bench.refusal(force: true) == nil)
    #expect(try await bench.table() == ["151 1", "152 3"])
  }

  @Test func whatIsSavedIsNotUndone() async throws {
    let bench = try await Bench([Self.first])
    try await bench.desk.director.addRealServer(.number(2, weight: 3), to: .web)
    #expect(try await bench.running.save().map(\.action) == [.add])
    #expect(await bench.refusal() == nil)
    #expect(try await bench.table() == ["151 1", "152 3"])
    let saved = try String(contentsOfFile: bench.path, encoding: .utf8)
    #expect(saved.contains("address: 192.168.1.152\n"))
    let old = try String(contentsOfFile: bench.path + ".old", encoding: .utf8)
    #expect(old == Bench.text([Self.first]))
    #expect(try await bench.running.save().isEmpty)
  }

  @Test func aSaveOverwritesNobodysWork() async throws {
    let bench = try await Bench([Self.first])
    try await bench.desk.director.editRealServer(.number(1, weight: 5), of: .web)
    try bench.write([Self.second])
    await #expect(throws: ReloadError.editedMeanwhile(bench.path)) {
      try await bench.running.save()
    }
    let kept = try String(contentsOfFile: bench.path, encoding: .utf8)
    #expect(kept == Bench.text([Self.second]))
  }

  @Test func aTrialEndsByItselfOrIsConfirmed() async throws {
    let bench = try await Bench([Self.first])
    try bench.write([Self.second])
    #expect(await bench.refusal(trialSeconds: 1) == nil)
    #expect(try await bench.table() == ["152 3"])
    #expect(await bench.refusal() == .awaitsConfirmation)
    while try await bench.table() == ["152 3"] { try await Task.sleep(for: .milliseconds(20)) }
    #expect(try await bench.table() == ["151 1"])
    await #expect(throws: ReloadError.nothingToConfirm) { try await bench.running.confirm() }
    // The file has still the new table, and what was taken back is no change at run time.
    #expect(await bench.refusal(trialSeconds: 3600) == nil)
    try await bench.running.confirm()
    #expect(try await bench.table() == ["152 3"])
    #expect(await bench.refusal() == nil)
  }
}
