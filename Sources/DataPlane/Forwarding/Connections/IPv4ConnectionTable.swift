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
struct IPv4ConnectionTable: ConnectionLines {
  static let entriesPerLine = 4

  let base: UnsafeMutableRawPointer
  let offsetMask: UInt64

  /// - Parameter lineCount: a power of two, at least 2.
  init(base: UnsafeMutableRawPointer, lineCount: Int) {
    self.base = base
    offsetMask = UInt64((lineCount - 1) * Self.lineBytes)
  }

  @inline(__always)
  static func key(client: UInt32, port: UInt16, service: UInt16) -> UInt64 {
    UInt64(client) &<< 32 | UInt64(port) &<< 16 | UInt64(service)
  }

  /// Where an entry lies.
  struct Position: ConnectionPosition {
    var key: UnsafeMutablePointer<UInt64>

    @inline(__always) var mark: UnsafeMutablePointer<UInt64> { key }
    @inline(__always) var meta: UnsafeMutablePointer<UInt64> { key + 4 }
  }

  @inline(__always)
  static func entry(_ slot: Int, of line: UnsafeMutableRawPointer) -> Position {
    Position(key: line.assumingMemoryBound(to: UInt64.self) + slot)
  }

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

  /// What another worker's table says of `key`: relaxed loads, the key checked again. `hash` is
  /// the key's.
  func read(_ key: UInt64, hash: UInt64) -> ConnectionMeta? {
    var line = line(hash)
    for _ in 0..<2 {
      for slot in 0..<Self.entriesPerLine {
        let position = Self.entry(slot, of: line)
        guard sharedLoad(position.key) == key else { continue }
        let meta = sharedLoad(position.meta)
        if sharedLoad(position.key) == key { return ConnectionMeta(rawValue: meta) }
      }
      line = Self.neighbour(of: line)
    }
    return nil
  }
}
