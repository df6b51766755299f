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
struct IPv6ConnectionTable: ConnectionLines {
  static let entriesPerLine = 2

  let base: UnsafeMutableRawPointer
  let offsetMask: UInt64

  /// - Parameter lineCount: a power of two, at least 2.
  init(base: UnsafeMutableRawPointer, lineCount: Int) {
    self.base = base
    offsetMask = UInt64((lineCount - 1) * Self.lineBytes)
  }

  /// Where an entry lies.
  struct Position: ConnectionPosition {
    /// high, low, transport, meta.
    var words: UnsafeMutablePointer<UInt64>

    @inline(__always) var transport: UnsafeMutablePointer<UInt64> { words + 2 }
    @inline(__always) var mark: UnsafeMutablePointer<UInt64> { transport }
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

  @inline(__always)
  static func entry(_ slot: Int, of line: UnsafeMutableRawPointer) -> Position {
    Position(words: line.assumingMemoryBound(to: UInt64.self) + slot * 4)
  }

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

  /// The entry of `key` in `line` or its neighbour.
  static func findInPair(
    _ key: IPv6ConnectionKey, _ line: UnsafeMutableRawPointer
  ) -> Position? {
    find(key, in: line) ?? find(key, in: neighbour(of: line))
  }

  /// As `IPv4ConnectionTable.read`.
  func read(_ key: IPv6ConnectionKey, hash: UInt64) -> ConnectionMeta? {
    var line = line(hash)
    for _ in 0..<2 {
      for slot in 0..<Self.entriesPerLine {
        let position = Self.entry(slot, of: line)
        guard position.isSeen(with: key) else { continue }
        let meta = sharedLoad(position.meta)
        if position.isSeen(with: key) { return ConnectionMeta(rawValue: meta) }
      }
      line = Self.neighbour(of: line)
    }
    return nil
  }
}
