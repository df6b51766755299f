// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Persistence templates of all workers: buckets of eight entries of 32 octets.
///
/// The one table with several writers: a client's connections reach any queue, and two of them
/// that begin at once must agree on a real server. It is asked only where a connection of a
/// persistent service begins, and written by compare-and-exchange, so no worker ever waits for
/// another.
///
/// ```
/// entry:  | identity | template | client high | client low |   32 octets
/// ```
///
/// An identity is the keyed hash of client and service, never zero; two clients of one identity
/// (2⁻⁶⁴ a pair) share a template. Who wants an entry writes its identity, then the address (for
/// listings), then exchanges the template it saw for its own: whoever comes second finds the
/// first one's. An entry is free where its template has expired or is another identity's. A
/// template can be lost only in the instant in which its time runs out.
struct TemplateTable: BitwiseCopyable, @unchecked Sendable {
  static let entriesPerBucket = 8
  private static let entryWords = 4
  static let bucketBytes = entriesPerBucket * entryWords * 8

  let base: UnsafeMutableRawPointer
  /// A power of two minus one.
  let bucketMask: UInt64

  var bucketCount: Int { Int(bucketMask) + 1 }

  struct Position: BitwiseCopyable {
    let words: UnsafeMutablePointer<UInt64>

    var identity: UInt64 { sharedLoad(words) }
    var template: Template { Template(rawValue: sharedLoad(words + 1)) }
    var client: (high: UInt64, low: UInt64) { (sharedLoad(words + 2), sharedLoad(words + 3)) }

    func exchangeIdentity(_ seen: UInt64, for next: UInt64) -> Bool {
      exchange(words, seen, next)
    }

    @discardableResult
    func exchange(_ seen: Template, for next: Template) -> Bool {
      exchange(words + 1, seen.rawValue, next.rawValue)
    }

    func storeClient(_ high: UInt64, _ low: UInt64) {
      cell(words + 2).pointee.store(high, ordering: .releasing)
      cell(words + 3).pointee.store(low, ordering: .releasing)
    }

    private func exchange(
      _ word: UnsafeMutablePointer<UInt64>, _ seen: UInt64, _ next: UInt64
    ) -> Bool {
      cell(word).pointee.compareExchange(
        expected: seen, desired: next, ordering: .sequentiallyConsistent
      ).exchanged
    }

    private func cell(
      _ word: UnsafeMutablePointer<UInt64>
    ) -> UnsafeMutablePointer<Atomic<UInt64>> {
      UnsafeMutableRawPointer(word).assumingMemoryBound(to: Atomic<UInt64>.self)
    }
  }

  func position(bucket: Int, entry: Int) -> Position {
    Position(
      words: (base + bucket * Self.bucketBytes).assumingMemoryBound(to: UInt64.self)
        + entry * Self.entryWords)
  }

  private func bucket(of identity: UInt64) -> Int {
    Int(truncatingIfNeeded: identity &>> 1 & bucketMask)
  }

  /// The live template of `identity`, the first where there are several.
  func find(_ identity: UInt64, now: Tick) -> (position: Position, template: Template)? {
    let bucket = bucket(of: identity)
    for entry in 0..<Self.entriesPerBucket {
      let position = position(bucket: bucket, entry: entry)
      guard position.identity == identity else { continue }
      let template = position.template
      if template.isLive(identity, at: now) { return (position, template) }
    }
    return nil
  }

  /// Makes `proposal` the template of `identity` unless another worker made one first.
  ///
  /// - Parameters:
  ///   - refused: the template of `identity` that is to be replaced, nil where there was none.
  /// - Returns: the template in force, or nil where there is no room.
  func agree(
    on proposal: Template, for identity: UInt64, client: (high: UInt64, low: UInt64),
    refused: Template?, now: Tick
  ) -> Template? {
    // Each further attempt means that another worker wrote the same entry meanwhile.
    for _ in 0..<Self.entriesPerBucket {
      guard let position = place(for: identity, now: now) else { return nil }
      let found = position.identity
      let seen = position.template
      if found == identity, seen.isLive(identity, at: now), seen != refused { return seen }
      guard found == identity || position.exchangeIdentity(found, for: identity) else { continue }
      position.storeClient(client.high, client.low)
      if position.exchange(seen, for: proposal), let agreed = find(identity, now: now) {
        return agreed.template
      }
    }
    return nil
  }

  /// The entry that is `identity`'s, else a free one.
  private func place(for identity: UInt64, now: Tick) -> Position? {
    let bucket = bucket(of: identity)
    var free: Position?
    for entry in 0..<Self.entriesPerBucket {
      let position = position(bucket: bucket, entry: entry)
      let owner = position.identity
      if owner == identity { return position }
      if free == nil, !position.template.isLive(owner, at: now) { free = position }
    }
    return free
  }
}
