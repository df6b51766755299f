// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Logging

/// All checks, and the hour of each. It is told the time and which sockets have something to say,
/// never waits, and asks for nothing: a day of checks is a test of milliseconds.
///
/// A check has one probe at a time and one deadline: its next beginning, or the probe's end.
struct CheckCore {
  private struct Entry {
    var status: CheckStatus
    var state: CheckState
    let makeProbe: (UInt64) -> any Probe
    var probe: (any Probe)?
    /// When the present or last probe began.
    var begun: Duration
    /// When `isUp` last changed.
    var changed: Duration
    /// Tells a descriptor's report from one that it was closed before.
    var turn: UInt32 = 0
  }

  private let logger: Logger
  private let probes: (CheckInstance) -> (UInt64) -> any Probe
  private var entries: [Entry?] = []
  private var free: [Int] = []
  private var places: [CheckInstance: Int] = [:]
  private var deadlines = DeadlineQueue()
  private var lastNumber: UInt64 = 0
  private var random: any RandomNumberGenerator
  /// Whether a check came up or went down since this was last set to false.
  var hasChanges = false
  /// Probes that have no result yet.
  private(set) var underWay = 0

  /// - Parameter probes: makes what makes a check's probes, each given the token that `proceed`
  ///   will know it by.
  init(
    logger: Logger, random: any RandomNumberGenerator = RandomStock(),
    probes: @escaping (CheckInstance) -> (UInt64) -> any Probe
  ) {
    self.logger = logger
    self.random = random
    self.probes = probes
  }

  /// When `advance` has something to do; nil for never.
  var nextDeadline: Duration? { deadlines.first?.time }

  // MARK: Which checks

  /// Makes these and no others; returns those that are down. New ones begin a millisecond after
  /// each other.
  mutating func make(_ wanted: Set<CheckInstance>, now: Duration) -> Set<CheckInstance> {
    for (instance, place) in places where !wanted.contains(instance) { remove(instance, at: place) }
    var offset: UInt32 = 0
    for instance in wanted where places[instance] == nil {
      let delay = offset % instance.schedule.intervalMilliseconds
      add(instance, now: now, beginning: now + .milliseconds(delay))
      offset += 1
    }
    return Set(places.filter { !entries[$0.value]!.state.isUp }.keys)
  }

  private mutating func add(_ instance: CheckInstance, now: Duration, beginning: Duration) {
    lastNumber += 1
    let state = CheckState(instance.schedule)
    let entry = Entry(
      status: CheckStatus(instance: instance, number: lastNumber, isUp: state.isUp), state: state,
      makeProbe: probes(instance), begun: now, changed: now)
    let place = free.popLast() ?? entries.count
    if place == entries.count { entries.append(entry) } else { entries[place] = entry }
    places[instance] = place
    deadlines.set(beginning, of: place)
  }

  private mutating func remove(_ instance: CheckInstance, at place: Int) {
    end(place)
    entries[place] = nil
    places[instance] = nil
    free.append(place)
    deadlines.set(nil, of: place)
  }

  func statuses(now: Duration) -> [CheckStatus] {
    entries.compactMap { entry in
      guard let entry else { return nil }
      var status = entry.status
      status.sinceSeconds = (now - entry.changed) / .seconds(1)
      return status
    }.sorted { $0.number < $1.number }
  }

  // MARK: Time and sockets

  /// Begins and gives up what is due.
  mutating func advance(now: Duration) {
    while let first = deadlines.first, first.time <= now {
      let place = first.number
      if entries[place]!.probe == nil {
        begin(place, now: now)
      } else {
        giveUp(place, now: now)
      }
    }
  }

  /// What the probe with this token waits for has something to say.
  mutating func proceed(
    _ token: UInt64, _ readiness: Readiness = Readiness(), now: Duration
  ) {
    let place = Int(token & 0xffff_ffff)
    guard place < entries.count, let probe = entries[place]?.probe,
      token == self.token(of: place)
    else { return }
    take(probe.proceed(readiness), of: place, now: now)
  }

  private mutating func giveUp(_ place: Int, now: Duration) {
    let limit = Double(entries[place]!.status.instance.schedule.timeoutMilliseconds) / 1000
    let isSuccess = entries[place]!.probe?.silenceIsSuccess ?? false
    finish(place, isSuccess ? .success : .failure("no answer within \(limit) s"), now: now)
  }

  private mutating func begin(_ place: Int, now: Duration) {
    entries[place]!.turn &+= 1
    let probe = entries[place]!.makeProbe(token(of: place))
    entries[place]!.probe = probe
    entries[place]!.begun = now
    underWay += 1
    let timeout = entries[place]!.status.instance.schedule.timeoutMilliseconds
    deadlines.set(now + .milliseconds(timeout), of: place)
    take(probe.begin(), of: place, now: now)
  }

  private mutating func take(_ step: ProbeStep, of place: Int, now: Duration) {
    if case .finished(let result) = step { finish(place, result, now: now) }
  }

  private func token(of place: Int) -> UInt64 {
    UInt64(entries[place]!.turn & 0x7fff_ffff) << 32 | UInt64(place)
  }

  private mutating func end(_ place: Int) {
    guard let probe = entries[place]!.probe else { return }
    probe.end()
    entries[place]!.probe = nil
    underWay -= 1
  }

  private mutating func finish(_ place: Int, _ result: CheckResult, now: Duration) {
    end(place)
    let (schedule, begun) = (entries[place]!.status.instance.schedule, entries[place]!.begun)
    let seconds = (now - begun) / .seconds(1)
    switch result {
    case .success:
      entries[place]!.status.successes += 1
      entries[place]!.status.lastFailure = nil
    case .failure(let reason):
      entries[place]!.status.failures += 1
      entries[place]!.status.lastFailure = reason
    case .none(let reason):
      entries[place]!.status.lastFailure = reason
      logger.warning(
        "check could not be made",
        metadata: ["check": "\(entries[place]!.status.instance)", "cause": "\(reason)"])
    }
    if case .none = result {
    } else {
      entries[place]!.status.lastSeconds = seconds
      entries[place]!.status.totalSeconds += seconds
      if entries[place]!.state.take(isSuccess: result == .success, schedule) {
        change(place, now: now)
      }
    }
    deadlines.set(max(now, begun + interval(schedule)), of: place)
  }

  private mutating func interval(_ schedule: CheckSchedule) -> Duration {
    let whole = Int64(schedule.intervalMilliseconds) * 1000
    let part = whole * Int64(schedule.jitterPercent) / 100
    // The remainder's bias is nothing here, and a generic draw in a range costs a microsecond.
    let drawn = Int64(random.next() % UInt64(2 * part + 1))
    return .microseconds(whole - part + drawn)
  }

  private mutating func change(_ place: Int, now: Duration) {
    let isUp = entries[place]!.state.isUp
    entries[place]!.status.isUp = isUp
    entries[place]!.status.changes += 1
    entries[place]!.changed = now
    hasChanges = true
    let status = entries[place]!.status
    var metadata: Logger.Metadata = ["check": "\(status.instance)"]
    if let reason = status.lastFailure { metadata["cause"] = "\(reason)" }
    logger.notice(isUp ? "check is up" : "check is down", metadata: metadata)
  }
}
