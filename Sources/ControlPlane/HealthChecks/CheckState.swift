// SPDX-License-Identifier: Apache-2.0

/// Whether a check is up, by its results in a row.
struct CheckState: Hashable {
  private(set) var isUp: Bool
  private var hasResult = false
  /// Results in a row that speak against `isUp`.
  private var streak: UInt32 = 0

  init(_ schedule: CheckSchedule) { isUp = schedule.initial == .up }

  /// Takes a result and returns whether `isUp` changed by it. One that is down because nothing is
  /// known yet comes up with its first success.
  mutating func take(isSuccess: Bool, _ schedule: CheckSchedule) -> Bool {
    let isFirst = !hasResult
    hasResult = true
    guard isSuccess != isUp else {
      streak = 0
      return false
    }
    streak += 1
    let needed = isSuccess ? (isFirst ? 1 : schedule.rise) : schedule.fall
    guard streak >= needed else { return false }
    isUp = isSuccess
    streak = 0
    return true
  }
}
