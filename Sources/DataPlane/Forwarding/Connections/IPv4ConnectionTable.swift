// SPDX-License-Identifier: Apache-2.0

/// IPv4 connections: cache lines of four entries, the neighbour line takes the overflow.
///
/// A line is four keys, then four metas, so that one line answers a hit. A key is client address,
/// client port and service number; zero is a vacant entry. One worker writes; others may read
/// entries with two relaxed loads and check the key again.
///
/// ```
/// line:  | key 0 | key 1 | key 2 | key 3 | meta 0 | meta 1 | meta 2 | meta 3 |   64 octets
/// ```
struct IPv4ConnectionTable: BitwiseCopyable {
  static let entriesPerLine = 4
  static let lineBytes = 64

  let base: UnsafeMutableRawPointer
  /// Of the bits of a hash that are a line's offset.
  private let offsetMask: UInt64

  /// - Parameter lineCount: a power of two, at least 2.
  init(base: UnsafeMutableRawPointer, lineCount: Int) {
    self.base = base
    offsetMask = UInt64((lineCount - 1) * Self.lineBytes)
  }

  var lineCount: Int { Int(offsetMask) / Self.lineBytes + 1 }

  @inline(__always)
  static func key(client: UInt32, port: UInt16, service: UInt16) -> UInt64 {
    UInt64(client) &<< 32 | UInt64(port) &<< 16 | UInt64(service)
  }

  /// Where an entry lies: its line and its place in it.
  struct Position: BitwiseCopyable {
    var key: UnsafeMutablePointer<UInt64>

    @inline(__always) var meta: UnsafeMutablePointer<UInt64> { key + 4 }
  }

  /// The first line of the keys that have this hash.
  @inline(__always) func line(_ hash: UInt64) -> UnsafeMutableRawPointer {
    base + Int(truncatingIfNeeded: hash & offsetMask)
  }

  /// `index` is less than `lineCount`.
  func line(at index: Int) -> UnsafeMutableRawPointer { base + index * Self.lineBytes }

  /// The entry of `key` in one line.
  @inline(__always)
  static func find(_ key: UInt64, in line: UnsafeMutableRawPointer) -> Position? {
    let keys = line.assumingMemoryBound(to: UInt64.self)
    let matches =
      (keys[0] == key ? 1 : 0) | (keys[1] == key ? 2 : 0) | (keys[2] == key ? 4 : 0)
      | (keys[3] == key ? 8 : 0)
    if _slowPath(matches == 0) { return nil }
    return Position(key: keys + matches.trailingZeroBitCount)
  }

  /// The line that takes the overflow of `line`. Lines lie in pairs of 128 octets.
  @inline(__always)
  static func neighbour(of line: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: line) ^ UInt(lineBytes)).unsafelyUnwrapped
  }

  /// The entry of `key` in `line` or its neighbour. Compares one by one, unlike `find`: mostly
  /// there is none.
  @inline(__always)
  static func findInPair(_ key: UInt64, _ line: UnsafeMutableRawPointer) -> Position? {
    let keys = line.assumingMemoryBound(to: UInt64.self)
    if let position = first(key, keys) { return position }
    return first(key, neighbour(of: line).assumingMemoryBound(to: UInt64.self))
  }

  /// The first entry of one line whose key is `key`.
  @inline(__always)
  private static func first(_ key: UInt64, _ keys: UnsafeMutablePointer<UInt64>) -> Position? {
    if keys[0] == key { return Position(key: keys) }
    if keys[1] == key { return Position(key: keys + 1) }
    if keys[2] == key { return Position(key: keys + 2) }
    if keys[3] == key { return Position(key: keys + 3) }
    return nil
  }

  /// The first vacant entry of one line.
  @inline(__always)
  static func vacancy(in line: UnsafeMutableRawPointer) -> Position? {
    let keys = line.assumingMemoryBound(to: UInt64.self)
    return keys[0] == 0 ? Position(key: keys) : laterVacancy(in: line)
  }

  /// Of a line whose first entry is taken.
  @inline(never)
  private static func laterVacancy(in line: UnsafeMutableRawPointer) -> Position? {
    first(0, line.assumingMemoryBound(to: UInt64.self))
  }

  /// What another worker's table says of `key`: relaxed loads, the key checked again. `hash` is
  /// the key's.
  func read(_ key: UInt64, hash: UInt64) -> ConnectionMeta? {
    var line = line(hash)
    for _ in 0..<2 {
      let keys = line.assumingMemoryBound(to: UInt64.self)
      for slot in 0..<Self.entriesPerLine {
        let position = Position(key: keys + slot)
        guard sharedLoad(position.key) == key else { continue }
        let meta = sharedLoad(position.meta)
        if sharedLoad(position.key) == key { return ConnectionMeta(rawValue: meta) }
      }
      line = Self.neighbour(of: line)
    }
    return nil
  }

  /// An entry for a key that is neither in `line`, which is full, nor in its neighbour: one that
  /// is vacant, else one that has expired, else the half-open one that expires first, if before
  /// `limit`.
  @inline(__always)
  static func room(
    beside line: UnsafeMutableRawPointer, now: Tick, yieldingBefore limit: Tick
  ) -> Position? {
    let neighbour = neighbour(of: line)
    if let position = first(0, neighbour.assumingMemoryBound(to: UInt64.self)) { return position }
    let latest = now.advanced(byMilliseconds: UInt32(max(1, limit.milliseconds(since: now))))
    guard haste(line, latest) | haste(neighbour, latest) < 0 else { return nil }
    return spent(line, now, limit)
  }

  /// The record of a full pair of lines that `room` takes.
  @inline(never)
  private static func spent(
    _ line: UnsafeMutableRawPointer, _ now: Tick, _ limit: Tick
  ) -> Position? {
    expired(in: line, now) ?? expired(in: neighbour(of: line), now)
      ?? halfOpen(line, expiringBefore: limit)
  }

  /// Below zero where a record of one full line expires before `limit`.
  @inline(__always)
  private static func haste(_ line: UnsafeMutableRawPointer, _ limit: Tick) -> Int64 {
    let metas = Position(key: line.assumingMemoryBound(to: UInt64.self)).meta
    let limit = UInt64(limit.rawValue) &<< 32
    return Int64(
      bitPattern: (metas[0] &- limit) | (metas[1] &- limit) | (metas[2] &- limit)
        | (metas[3] &- limit))
  }

  /// The first entry of one full line that has expired.
  @inline(__always)
  private static func expired(in line: UnsafeMutableRawPointer, _ now: Tick) -> Position? {
    let keys = line.assumingMemoryBound(to: UInt64.self)
    for slot in 0..<entriesPerLine {
      let position = Position(key: keys + slot)
      if ConnectionMeta(rawValue: position.meta.pointee).isExpired(at: now) { return position }
    }
    return nil
  }

  /// The half-open entry of `line` or its neighbour that expires first, if before `limit`.
  private static func halfOpen(
    _ line: UnsafeMutableRawPointer, expiringBefore limit: Tick
  ) -> Position? {
    var (oldest, limit, line) = (Position?.none, limit, line)
    for _ in 0..<2 {
      let keys = line.assumingMemoryBound(to: UInt64.self)
      for slot in 0..<entriesPerLine {
        let position = Position(key: keys + slot)
        let meta = ConnectionMeta(rawValue: position.meta.pointee)
        guard meta.isHalfOpen, meta.expiry.milliseconds(since: limit) < 0 else { continue }
        (oldest, limit) = (position, meta.expiry)
      }
      line = neighbour(of: line)
    }
    return oldest
  }
}
