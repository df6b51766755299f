// SPDX-License-Identifier: Apache-2.0

/// Numbers 1…limit for keys. A number that is given back rests before another key gets it.
///
/// Connection entries name services and real servers by number, so a number passes through two
/// stages when its key is removed. *Removed* for 120 s: the same key gets the same number again, so
/// that its connections go on (LVS keeps such destinations in its trash for as long,
/// `IP_VS_DEST_TRASH_PERIOD` of ip_vs.h). Then *retired*: workers sweep its connections. It is free
/// when every worker has swept its table with a snapshot that said so.
struct IndexPool<Key: Hashable> {
  static var quarantine: Duration { .seconds(120) }

  private struct Removal {
    var index: UInt16
    var since: Duration
  }

  private struct Retired {
    var index: UInt16
    /// The first snapshot that says so; nil until one is compiled.
    var generation: UInt64?
  }

  let limit: Int
  private var held: [Key: UInt16] = [:]
  private var removals: [Key: Removal] = [:]
  private var retired: [Retired] = []
  private var free: [UInt16] = []
  private var highest: UInt16 = 0

  /// `limit` is at most 65535.
  init(limit: Int) {
    self.limit = limit
  }

  /// The number of `key`, which holds none now; nil when all are in use or at rest.
  mutating func take(_ key: Key) -> UInt16? {
    let index = removals.removeValue(forKey: key)?.index ?? free.popLast() ?? next()
    if let index { held[key] = index }
    return index
  }

  private mutating func next() -> UInt16? {
    guard Int(highest) < limit else { return nil }
    highest += 1
    return highest
  }

  mutating func release(_ key: Key, now: Duration) {
    guard let index = held.removeValue(forKey: key) else { return }
    removals[key] = Removal(index: index, since: now)
  }

  /// Retires what was removed 120 s ago. Returns whether there was any.
  mutating func retire(now: Duration) -> Bool {
    let due = removals.filter { now - $0.value.since >= Self.quarantine }
    for (key, removal) in due {
      removals[key] = nil
      retired.append(Retired(index: removal.index, generation: nil))
    }
    return !due.isEmpty
  }

  /// Notes that the snapshot of `generation` tells workers what is retired now.
  mutating func publish(generation: UInt64) {
    for position in retired.indices where retired[position].generation == nil {
      retired[position].generation = generation
    }
  }

  /// Frees what every worker has swept. Returns the freed numbers.
  mutating func reclaim(sweptGeneration: UInt64) -> [UInt16] {
    let swept = retired.filter { $0.generation.map { $0 <= sweptGeneration } ?? false }
    guard !swept.isEmpty else { return [] }
    retired.removeAll { $0.generation.map { $0 <= sweptGeneration } ?? false }
    free.append(contentsOf: swept.map(\.index))
    return swept.map(\.index)
  }

  var removedIndices: some Sequence<UInt16> { removals.values.lazy.map(\.index) }
  var retiredIndices: some Sequence<UInt16> { retired.lazy.map(\.index) }
}
