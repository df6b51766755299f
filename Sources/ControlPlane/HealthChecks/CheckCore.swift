// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Logging

/// All checks, and the hour of each. It is told the time and which sockets have something to say,
/// never waits, and asks for nothing: a day of checks is a test of milliseconds.
///
/// A check has one probe at a time and one deadline: its next beginning, or the probe's end.
struct CheckCore {
  /// A class, so that a step of one check neither copies it nor looks for it again.
  private final class Entry {
    let place: Int
    var status: CheckStatus
    var state: CheckState
    let makeProbe: (UInt64) -> any Probe
    var probe: (any Probe)?
    /// When the present or last probe was to begin. The next one is counted from here: beats make
    /// a probe late, not the ones after it.
    var due: Duration
    /// When it began.
    var begun: Duration
    /// When `isUp` last changed.
    var changed: Duration
    /// Tells a descriptor's report from one that it was closed before.
    var turn: UInt32 = 0
    let schedule: CheckSchedule

    init(
      _ instance: CheckInstance, number: UInt64, place: Int, now: Duration,
      makeProbe: @escaping (UInt64) -> any Probe
    ) {
      (self.place, self.makeProbe, schedule) = (place, makeProbe, instance.schedule)
      state = CheckState(schedule)
      status = CheckStatus(instance: instance, number: number, isUp: state.isUp)
      (due, begun, changed) = (now, now, now)
    }

    var token: UInt64 { UInt64(turn & 0x7fff_ffff) << 32 | UInt64(place) }
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
    let place = free.popLast() ?? entries.count
    let entry = Entry(
      instance, number: lastNumber, place: place, now: now, makeProbe: probes(instance))
    if place == entries.count { entries.append(entry) } else { entries[place] = entry }
    places[instance] = place
    deadlines.set(beginning, of: place)
  }

  private mutating func remove(_ instance: CheckInstance, at place: Int) {
    end(entries[place]!)
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
      let entry = entries[first.number]!
      if entry.probe == nil {
        begin(entry, due: first.time, now: now)
      } else {
        giveUp(entry, now: now)
      }
    }
  }

  /// What the probe with this token waits for has something to say.
  mutating func proceed(
    _ token: UInt64, _ readiness: Readiness = Readiness(), now: Duration
  ) {
    let place = Int(token & 0xffff_ffff)
    guard place < entries.count, let entry = entries[place], let probe = entry.probe,
      token == entry.token
    else { return }
    take(probe.proceed(readiness), of: entry, now: now)
  }

  private mutating func giveUp(_ entry: Entry, now: Duration) {
    let limit = Double(entry.schedule.timeoutMilliseconds) / 1000
    let isSuccess = entry.probe?.silenceIsSuccess ?? false
    finish(entry, isSuccess ? .success : .failure("no answer within \(limit) s"), now: now)
  }

  private mutating func begin(_ entry: Entry, due: Duration, now: Duration) {
    entry.turn &+= 1
    let probe = entry.makeProbe(entry.token)
    entry.probe = probe
    (entry.due, entry.begun) = (due, now)
    underWay += 1
    deadlines.set(now + .milliseconds(entry.schedule.timeoutMilliseconds), of: entry.place)
    take(probe.begin(), of: entry, now: now)
  }

  private mutating func take(_ step: ProbeStep, of entry: Entry, now: Duration) {
    if case .finished(let result) = step { finish(entry, result, now: now) }
  }

  private mutating func end(_ entry: Entry) {
    guard let probe = entry.probe else { return }
    probe.end()
    entry.probe = nil
    underWay -= 1
  }

  private mutating func finish(_ entry: Entry, _ result: CheckResult, now: Duration) {
    end(entry)
    let next = max(now, entry.due + interval(entry.schedule))
    deadlines.set(next, of: entry.place)
    switch result {
    case .success:
      entry.status.successes += 1
      entry.status.lastFailure = nil
    case .failure(let reason):
      entry.status.failures += 1
      entry.status.lastFailure = reason
    case .none(let reason):
      entry.status.lastFailure = reason
      logger.warning(
        "check could not be made",
        metadata: ["check": "\(entry.status.instance)", "cause": "\(reason)"])
      return
    }
    let seconds = (now - entry.begun) / .seconds(1)
    entry.status.lastSeconds = seconds
    entry.status.totalSeconds += seconds
    if entry.state.take(isSuccess: result == .success, entry.schedule) {
      change(entry, now: now)
    }
  }

  private mutating func interval(_ schedule: CheckSchedule) -> Duration {
    let whole = Int64(schedule.intervalMilliseconds) * 1000
    let part = whole * Int64(schedule.jitterPercent) / 100
    // The remainder's bias is nothing here, and a generic draw in a range costs a microsecond.
    let drawn = Int64(random.next() % UInt64(2 * part + 1))
    return .microseconds(whole - part + drawn)
  }

  private mutating func change(_ entry: Entry, now: Duration) {
    entry.status.isUp = entry.state.isUp
    entry.status.changes += 1
    entry.changed = now
    hasChanges = true
    var metadata: Logger.Metadata = ["check": "\(entry.status.instance)"]
    if let reason = entry.status.lastFailure { metadata["cause"] = "\(reason)" }
    logger.notice(entry.status.isUp ? "check is up" : "check is down", metadata: metadata)
  }
}
