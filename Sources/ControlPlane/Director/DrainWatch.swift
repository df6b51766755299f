// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Looks through the workers' tables, a part at a time, for the oldest connection of each real
/// server that drains.
struct DrainWatch {
  /// In one call, of 16 to 32 octets each: 5 ms where few are taken, 30 ms where all are.
  static let recordLimit = 1 << 20

  private var table = 0
  private var record = 0
  /// Whom the present look is for.
  private var sought: Set<RealServerIndex> = []
  private var found: [RealServerIndex: UInt32] = [:]
  /// So old was the oldest, at least, when the last look through all tables met it.
  private(set) var oldestMilliseconds: [RealServerIndex: UInt32] = [:]

  /// Goes on looking; what comes to `draining` in the middle of a look is sought by the next one.
  mutating func look(at views: [ForwarderView], for draining: Set<RealServerIndex>, now: Tick) {
    oldestMilliseconds = oldestMilliseconds.filter { draining.contains($0.key) }
    if (table, record) == (0, 0) || sought.isDisjoint(with: draining) {
      (table, record, sought, found) = (0, 0, draining, [:])
    }
    guard !sought.isEmpty else { return }
    var rest = Self.recordLimit
    while rest > 0, table < views.count {
      let first = record
      record = views[table].forEachConnection(from: first, to: first + rest, now: now) {
        note($0)
        return true
      }
      rest -= record - first
      if record == views[table].records { (table, record) = (table + 1, 0) }
    }
    guard table >= views.count else { return }
    for index in sought.intersection(draining) { oldestMilliseconds[index] = found[index] }
    (table, record) = (0, 0)
  }

  private mutating func note(_ connection: ConnectionDescription) {
    guard sought.contains(connection.realServer) else { return }
    let age = connection.leastAgeMilliseconds
    found[connection.realServer] = max(age, found[connection.realServer] ?? 0)
  }
}
