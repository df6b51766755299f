// SPDX-License-Identifier: Apache-2.0

/// Where an entry of a connection table lies.
protocol ConnectionPosition: BitwiseCopyable {
  /// Zero where the entry is vacant.
  var mark: UnsafeMutablePointer<UInt64> { get }
  /// The `ConnectionMeta`.
  var meta: UnsafeMutablePointer<UInt64> { get }
}

/// What the tables of both families have in common: cache lines of a few entries, two of which lie
/// in a pair of 128 octets, and which entry a connection gets whose first line is full.
protocol ConnectionLines: BitwiseCopyable {
  associatedtype Position: ConnectionPosition
  static var entriesPerLine: Int { get }
  /// Entry `slot`, less than `entriesPerLine`, of `line`.
  static func entry(_ slot: Int, of line: UnsafeMutableRawPointer) -> Position
  var base: UnsafeMutableRawPointer { get }
  /// Of the bits of a hash that are a line's offset.
  var offsetMask: UInt64 { get }
}

extension ConnectionLines {
  @inline(__always) static var lineBytes: Int { 64 }

  var lineCount: Int { Int(offsetMask) / Self.lineBytes + 1 }

  /// The first line of the keys that have this hash.
  @inline(__always) func line(_ hash: UInt64) -> UnsafeMutableRawPointer {
    base + Int(truncatingIfNeeded: hash & offsetMask)
  }

  /// `index` is less than `lineCount`.
  func line(at index: Int) -> UnsafeMutableRawPointer { base + index * Self.lineBytes }

  /// The line that takes the overflow of `line`.
  @inline(__always)
  static func neighbour(of line: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: line) ^ UInt(lineBytes)).unsafelyUnwrapped
  }

  /// The first vacant entry of one line.
  @inline(__always)
  static func vacancy(in line: UnsafeMutableRawPointer) -> Position? {
    for slot in 0..<entriesPerLine {
      let position = entry(slot, of: line)
      if position.mark.pointee == 0 { return position }
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
    if let position = vacancy(in: neighbour) { return position }
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
    let limit = UInt64(limit.rawValue) &<< 32
    var signs: UInt64 = 0
    for slot in 0..<entriesPerLine { signs |= entry(slot, of: line).meta.pointee &- limit }
    return Int64(bitPattern: signs)
  }

  /// The first entry of one full line that has expired.
  @inline(__always)
  private static func expired(in line: UnsafeMutableRawPointer, _ now: Tick) -> Position? {
    for slot in 0..<entriesPerLine {
      let position = entry(slot, of: line)
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
      for slot in 0..<entriesPerLine {
        let position = entry(slot, of: line)
        let meta = ConnectionMeta(rawValue: position.meta.pointee)
        guard meta.isHalfOpen, meta.expiry.milliseconds(since: limit) < 0 else { continue }
        (oldest, limit) = (position, meta.expiry)
      }
      line = neighbour(of: line)
    }
    return oldest
  }
}
