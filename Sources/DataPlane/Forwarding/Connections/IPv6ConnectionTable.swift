// SPDX-License-Identifier: Apache-2.0

/// An IPv6 connection's key: the client's address, and its port with the service's number.
///
/// Of a service of many ports it is that of an IPv4 connection too, with the client's address in
/// the form ::ffff:a.b.c.d, and says which port of which VIP the client addressed.
struct IPv6ConnectionKey: BitwiseCopyable {
  var high: UInt64
  var low: UInt64
  /// Service number (bits 0…15) and client port (16…31); destination port (32…47) and number of
  /// the VIP (48…63) where the service has many. Never zero.
  var transport: UInt64

  @inline(__always) init(high: UInt64, low: UInt64, port: UInt16, service: UInt16) {
    self.high = high
    self.low = low
    transport = UInt64(port) &<< 16 | UInt64(service)
  }

  mutating func setDestination(port: UInt16, vip: UInt16) {
    transport |= UInt64(vip) &<< 48 | UInt64(port) &<< 32
  }
}

/// IPv6 connections, and those of services of many ports: cache lines of two 32-octet entries, the
/// neighbour line takes the overflow.
///
/// An entry is the client's address, port and service (zero: vacant), and a `ConnectionMeta`. The
/// rules for writers and readers are those of `IPv4ConnectionTable`.
struct IPv6ConnectionTable: BitwiseCopyable {
  static let entriesPerLine = 2
  static let entryBytes = 32
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

  /// Where an entry lies.
  struct Position: BitwiseCopyable {
    /// high, low, transport, meta.
    var words: UnsafeMutablePointer<UInt64>

    @inline(__always) var transport: UnsafeMutablePointer<UInt64> { words + 2 }
    @inline(__always) var meta: UnsafeMutablePointer<UInt64> { words + 3 }

    /// Whether the entry is `key`'s while its worker may be writing.
    func isSeen(with key: IPv6ConnectionKey) -> Bool {
      sharedLoad(transport) == key.transport && sharedLoad(words) == key.high
        && sharedLoad(words + 1) == key.low
    }

    /// Address first, transport last: a reader that sees the transport sees the address.
    func store(_ key: IPv6ConnectionKey) {
      words[0] = key.high
      words[1] = key.low
      words[2] = key.transport
    }
  }

  /// The first line of the keys that have this hash.
  @inline(__always) func line(_ hash: UInt64) -> UnsafeMutableRawPointer {
    base + Int(truncatingIfNeeded: hash & offsetMask)
  }

  /// `index` is less than `lineCount`.
  func line(at index: Int) -> UnsafeMutableRawPointer { base + index * Self.lineBytes }

  /// The entry of `key` in one line.
  @inline(__always)
  static func find(_ key: IPv6ConnectionKey, in line: UnsafeMutableRawPointer) -> Position? {
    let words = line.assumingMemoryBound(to: UInt64.self)
    if words[0] == key.high && words[1] == key.low && words[2] == key.transport {
      return Position(words: words)
    }
    if words[4] == key.high && words[5] == key.low && words[6] == key.transport {
      return Position(words: words + 4)
    }
    return nil
  }

  /// The line that takes the overflow of `line`. Lines lie in pairs of 128 octets.
  @inline(__always)
  static func neighbour(of line: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: line) ^ UInt(lineBytes)).unsafelyUnwrapped
  }

  /// The entry of `key` in `line` or its neighbour.
  static func findInPair(
    _ key: IPv6ConnectionKey, _ line: UnsafeMutableRawPointer
  ) -> Position? {
    find(key, in: line) ?? find(key, in: neighbour(of: line))
  }

  /// The first vacant entry of one line.
  @inline(__always)
  static func vacancy(in line: UnsafeMutableRawPointer) -> Position? {
    let words = line.assumingMemoryBound(to: UInt64.self)
    if words[2] == 0 { return Position(words: words) }
    return words[6] == 0 ? Position(words: words + 4) : nil
  }

  /// As `IPv4ConnectionTable.read`.
  func read(_ key: IPv6ConnectionKey, hash: UInt64) -> ConnectionMeta? {
    var line = line(hash)
    for _ in 0..<2 {
      let words = line.assumingMemoryBound(to: UInt64.self)
      for slot in 0..<Self.entriesPerLine {
        let position = Position(words: words + slot * 4)
        guard position.isSeen(with: key) else { continue }
        let meta = sharedLoad(position.meta)
        if position.isSeen(with: key) { return ConnectionMeta(rawValue: meta) }
      }
      line = Self.neighbour(of: line)
    }
    return nil
  }

  /// As `IPv4ConnectionTable.room`.
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

  /// As `IPv4ConnectionTable.spent`.
  @inline(never)
  private static func spent(
    _ line: UnsafeMutableRawPointer, _ now: Tick, _ limit: Tick
  ) -> Position? {
    expired(in: line, now) ?? expired(in: neighbour(of: line), now)
      ?? halfOpen(line, expiringBefore: limit)
  }

  /// As `IPv4ConnectionTable.haste`.
  @inline(__always)
  private static func haste(_ line: UnsafeMutableRawPointer, _ limit: Tick) -> Int64 {
    let words = line.assumingMemoryBound(to: UInt64.self)
    let limit = UInt64(limit.rawValue) &<< 32
    return Int64(bitPattern: (words[3] &- limit) | (words[7] &- limit))
  }

  /// The first entry of one full line that has expired.
  @inline(__always)
  private static func expired(in line: UnsafeMutableRawPointer, _ now: Tick) -> Position? {
    let words = line.assumingMemoryBound(to: UInt64.self)
    for slot in 0..<entriesPerLine {
      let position = Position(words: words + slot * 4)
      if ConnectionMeta(rawValue: position.meta.pointee).isExpired(at: now) { return position }
    }
    return nil
  }

  /// As `IPv4ConnectionTable.halfOpen`.
  private static func halfOpen(
    _ line: UnsafeMutableRawPointer, expiringBefore limit: Tick
  ) -> Position? {
    var (oldest, limit, line) = (Position?.none, limit, line)
    for _ in 0..<2 {
      let words = line.assumingMemoryBound(to: UInt64.self)
      for slot in 0..<entriesPerLine {
        let position = Position(words: words + slot * 4)
        let meta = ConnectionMeta(rawValue: position.meta.pointee)
        guard meta.isHalfOpen, meta.expiry.milliseconds(since: limit) < 0 else { continue }
        (oldest, limit) = (position, meta.expiry)
      }
      line = neighbour(of: line)
    }
    return oldest
  }
}
