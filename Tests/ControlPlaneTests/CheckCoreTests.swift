// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc
import Logging
import TestSupport
import Testing

@testable import ControlPlane

@Suite struct CheckStateTests {
  /// Results, and the state after each: + up, - down.
  @Test(arguments: [
    // rise 2, fall 3 from up: three in a row bring it down, two up.
    ("+", "0010001101", "+++++--+++"),
    ("+", "0011000", "++++++-"),
    // Not known yet: the first success is enough, later ones are not.
    ("-", "1", "+"), ("-", "01", "--"), ("-", "011", "--+"), ("-", "1000101", "+++----"),
  ])
  func resultsInARow(initial: String, results: String, states: String) {
    var schedule = CheckSchedule()
    (schedule.rise, schedule.fall) = (2, 3)
    schedule.initial = initial == "+" ? .up : .down
    var state = CheckState(schedule)
    var seen = ""
    for result in results {
      let before = state.isUp
      let changed = state.take(isSuccess: result == "1", schedule)
      #expect(changed == (before != state.isUp))
      seen += state.isUp ? "+" : "-"
    }
    #expect(seen == states)
  }
}

@Suite struct DeadlineQueueTests {
  /// Against a dictionary that is searched.
  @Test func theEarliestIsFirst() {
    for seed in UInt64(1)...20 {
      var random = Seed(seed)
      var queue = DeadlineQueue()
      var model: [Int: Duration] = [:]
      for _ in 0..<500 {
        let number = Int.random(in: 0..<40, using: &random)
        let time: Duration? =
          .random(using: &random) ? .seconds(Int.random(in: 0..<1000, using: &random)) : nil
        queue.set(time, of: number)
        model[number] = time
        #expect(queue.first?.time == model.values.min(), "seed \(seed)")
        #expect(queue.first.map { model[$0.number] == $0.time } ?? model.isEmpty, "seed \(seed)")
      }
    }
  }
}

/// Probes whose results the test gives, or keeps back.
private final class StatedProbe: Probe {
  let result: CheckResult?
  private let ended: () -> Void

  init(_ result: CheckResult?, ended: @escaping () -> Void) {
    self.result = result
    self.ended = ended
  }

  func begin() -> ProbeStep { result.map(ProbeStep.finished) ?? .waiting }
  func proceed(_ readiness: Readiness) -> ProbeStep { .finished(.success) }
  func end() { ended() }
}

@Suite struct CheckCoreTests {
  /// A core whose probes end as `answers` says at the time, and what it did.
  private final class Desk {
    var core: CheckCore!
    var now = Duration.seconds(1000)
    var answer: CheckResult? = .success
    var begun: [Duration] = []
    var open = 0

    init(seed: UInt64 = 1) {
      core = CheckCore(
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, random: Seed(seed)
      ) { [unowned self] _ in
        { _ in
          self.begun.append(self.now)
          self.open += 1
          return StatedProbe(self.answer) { self.open -= 1 }
        }
      }
    }

    /// Until `seconds` later, from deadline to deadline.
    func run(seconds: Double) {
      let end = now + .seconds(seconds)
      while let next = core.nextDeadline, next <= end {
        now = max(now, next)
        core.advance(now: now)
      }
      now = end
    }
  }

  private static func instance(_ change: (inout CheckSchedule) -> Void = { _ in }) -> CheckInstance
  {
    var schedule = CheckSchedule()
    schedule.jitterPercent = 0
    change(&schedule)
    return CheckInstance(
      HealthCheck(.tcp, schedule: schedule), of: .number(1), in: .web)
  }

  @Test func intervalsAreFromBeginningToBeginning() throws {
    let desk = Desk()
    _ = desk.core.make([Self.instance()], now: desk.now)
    desk.run(seconds: 20)
    #expect(desk.begun == [1000, 1005, 1010, 1015, 1020].map { .seconds($0) })
    let status = try #require(desk.core.statuses(now: desk.now).first)
    #expect(status.successes == 5 && status.failures == 0 && status.isUp)
    #expect(desk.open == 0)
  }

  /// Probes that begin on beats, each somewhat late, are as many as the interval says.
  @Test func latenessDoesNotAddUp() {
    let desk = Desk()
    _ = desk.core.make([Self.instance { $0.intervalMilliseconds = 110 }], now: desk.now)
    for _ in 0..<200 {
      desk.now += .milliseconds(50)
      desk.core.advance(now: desk.now)
    }
    #expect(desk.begun.count == 1 + 10_000 / 110)
  }

  /// What hangs is given up at its time; the next begins at its own, or at once if that is past.
  @Test(arguments: [(UInt32(2000), [1000, 1005, 1010]), (UInt32(7000), [1000, 1007, 1014])])
  func whatHangsFails(timeout: UInt32, begun: [Int]) throws {
    let desk = Desk()
    desk.answer = nil
    _ = desk.core.make([Self.instance { $0.timeoutMilliseconds = timeout }], now: desk.now)
    desk.run(seconds: 14)
    #expect(desk.begun == begun.map { .seconds($0) })
    desk.run(seconds: 7)
    let status = try #require(desk.core.statuses(now: desk.now).first)
    #expect(status.failures >= 3 && !status.isUp && desk.core.hasChanges)
    #expect(status.lastFailure == "no answer within \(Double(timeout) / 1000) s")
    #expect(status.lastSeconds == Double(timeout) / 1000)
  }

  @Test func jitterStaysInItsBounds() {
    let desk = Desk(seed: 7)
    _ = desk.core.make([Self.instance { $0.jitterPercent = 20 }], now: desk.now)
    desk.run(seconds: 2000)
    let gaps = zip(desk.begun, desk.begun.dropFirst()).map { $1 - $0 }
    #expect(gaps.allSatisfy { .seconds(4)...(.seconds(6)) ~= $0 })
    #expect(gaps.min()! < .seconds(4.2) && gaps.max()! > .seconds(5.8))
  }

  /// A thousand new ones are spread over a second; those that stay are not begun anew.
  @Test func newChecksAreSpread() {
    let desk = Desk()
    let many = Set((1...1000).map { number in Self.instance { $0.fall = UInt32(number) } })
    _ = desk.core.make(many, now: desk.now)
    desk.run(seconds: 2)
    #expect(desk.begun.count == 1000)
    #expect(Set(desk.begun).count == 1000)
    _ = desk.core.make(many, now: desk.now)
    desk.run(seconds: 2)
    #expect(desk.begun.count == 1000)
  }

  /// A failure of this host to ask is no result.
  @Test func whatCannotBeAskedSaysNothing() throws {
    let desk = Desk()
    desk.answer = CheckResult(errno: EMFILE, "socket")
    _ = desk.core.make([Self.instance()], now: desk.now)
    desk.run(seconds: 100)
    let status = try #require(desk.core.statuses(now: desk.now).first)
    #expect(status.isUp && status.failures == 0 && status.successes == 0)
    #expect(desk.begun.count == 21)
  }

  @Test func whatIsTakenAwayEndsAtOnce() throws {
    let desk = Desk()
    desk.answer = nil
    let instance = Self.instance { $0.initial = .down }
    #expect(desk.core.make([instance], now: desk.now) == [instance])
    desk.run(seconds: 1)
    #expect(desk.open == 1)
    #expect(desk.core.make([], now: desk.now).isEmpty)
    #expect(desk.open == 0 && desk.core.nextDeadline == nil)
    // A report that was on its way finds nobody.
    desk.core.proceed(1 << 32, now: desk.now)
    desk.core.proceed(99, now: desk.now)
    #expect(desk.core.statuses(now: desk.now).isEmpty)
  }
}
