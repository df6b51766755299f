// SPDX-License-Identifier: Apache-2.0

/// The second word of a connection entry: which real server, in which state, since when, until
/// when.
///
/// 64 bits: real server index (bits 0…15), state (16…23), birth (24…31), expiry tick (32…63).
/// It names the real server by index and never by MAC address, so that a changed address reaches
/// live connections with the next snapshot.
struct ConnectionMeta: BitwiseCopyable {
  var rawValue: UInt64

  @inline(__always) init(rawValue: UInt64) { self.rawValue = rawValue }

  @inline(__always) init(
    realServer: UInt16, state: UInt8, birth: BirthStamp = BirthStamp(rawValue: 0), expiry: Tick
  ) {
    rawValue =
      UInt64(realServer) | UInt64(state) &<< 16 | UInt64(birth.rawValue) &<< 24
      | UInt64(expiry.rawValue) &<< 32
  }

  @inline(__always) var realServer: UInt16 { UInt16(truncatingIfNeeded: rawValue) }
  @inline(__always) var state: UInt8 { UInt8(truncatingIfNeeded: rawValue &>> 16) }
  @inline(__always) var birth: BirthStamp {
    get { BirthStamp(rawValue: UInt8(truncatingIfNeeded: rawValue &>> 24)) }
    set { rawValue = rawValue & ~0xff00_0000 | UInt64(newValue.rawValue) &<< 24 }
  }
  @inline(__always) var expiry: Tick { Tick(rawValue: UInt32(truncatingIfNeeded: rawValue &>> 32)) }
  @inline(__always) func isExpired(at now: Tick) -> Bool { expiry.milliseconds(since: now) <= 0 }

  /// Whether the client has ended the connection: its port may begin another.
  var isOver: Bool {
    state == ConnectionState.timeWait.rawValue || state == ConnectionState.close.rawValue
      || state == ConnectionState.finWait.rawValue
      || state == ConnectionState.sctpClosed.rawValue
  }

  /// Whether the client has sent nothing but its SYN.
  var isHalfOpen: Bool { state == ConnectionState.synReceived.rawValue }

  @inline(__always) func refreshed(until expiry: Tick) -> ConnectionMeta {
    refreshed(UInt64(expiry.rawValue) &<< 32)
  }

  /// The same, `expiry` in its place: zero in the low half.
  @inline(__always) func refreshed(_ expiry: UInt64) -> ConnectionMeta {
    ConnectionMeta(rawValue: rawValue & 0xffff_ffff | expiry)
  }

  /// Not `isExpired(at:)` the tick before `next`, which is given in the place of the expiry: one
  /// subtraction.
  @inline(__always) func lasts(until next: UInt64) -> Bool {
    Int64(bitPattern: rawValue &- next) >= 0
  }
}

/// The random secret of one worker's hash tables: an attacker who could predict lines could fill
/// one. Four words, drawn once at start.
public struct HashKey: BitwiseCopyable, Sendable {
  var first: UInt64
  var second: UInt64
  var third: UInt64
  var fourth: UInt64

  /// Deterministic for one `seed`: for tests and benchmarks; production draws from the system.
  public init(using generator: inout some RandomNumberGenerator) {
    first = generator.next()
    second = generator.next() | 1
    third = generator.next()
    fourth = generator.next() | 1
  }

  /// Two rounds of 128-bit folded multiplication (as in wyhash): 6.5 ns less than SipHash-1-3
  /// (hot-path.md §2).
  @inline(__always) func hash(_ word: UInt64) -> UInt64 {
    Self.fold(Self.fold(word ^ first, second) ^ third, fourth)
  }

  @inline(__always) func hash(_ high: UInt64, _ low: UInt64, _ rest: UInt64) -> UInt64 {
    Self.fold(Self.fold(high ^ first, low ^ second) ^ rest ^ third, fourth)
  }

  @inline(__always) private static func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let product = left.multipliedFullWidth(by: right)
    return product.high ^ product.low
  }
}
