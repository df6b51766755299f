// SPDX-License-Identifier: Apache-2.0

/// When a connection began, in eight bits: which unit of the clock that was, modulo 32 (bits 0…4),
/// of 2^(13 + 2·scale) ms (scale: bits 5…7).
///
/// A unit is 8.2 s at first. Before 32 of them are over the sweep takes one four times as long, and
/// so on, seven times: what is known of an age is a lower bound, at most 8.2 s or 18 % short. The
/// last unit is the 32nd part of what a `Tick` counts; a stamp stays 37 days old from then on. A
/// sweep that comes too late loses age and never adds any. Packets neither read nor write it.
struct BirthStamp: RawRepresentable, BitwiseCopyable {
  private static let unitMask: UInt32 = 31
  private static let lastScale: UInt8 = 7
  /// Units after which a stamp is taken over into longer ones: 6 of those, and 6 of its own (49 s)
  /// before one could be taken for a younger one.
  private static let ageOfChange: UInt32 = 24
  /// A stamp so old, modulo 32, is one that the worker wrote after its reader read the clock.
  private static let ageOfNewborn: UInt32 = 30

  let rawValue: UInt8

  @inline(__always) init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Of a connection that begins.
  @inline(__always) init(at now: Tick) { self.init(now, scale: 0) }

  @inline(__always) private init(_ birth: Tick, scale: UInt8) {
    let unit = birth.rawValue &>> Self.shift(scale) & Self.unitMask
    rawValue = scale &<< 5 | UInt8(truncatingIfNeeded: unit)
  }

  private var scale: UInt8 { rawValue &>> 5 }

  @inline(__always) private static func shift(_ scale: UInt8) -> UInt32 {
    13 &+ 2 &* UInt32(scale)
  }

  /// In units that have begun since.
  private func age(at now: Tick) -> UInt32 {
    (now.rawValue &>> Self.shift(scale) &- UInt32(rawValue)) & Self.unitMask
  }

  /// Milliseconds that the connection has lived at least: since the end of the unit of its birth.
  func leastAge(at now: Tick) -> UInt32 {
    let (units, shift) = (age(at: now), Self.shift(scale))
    guard (1..<Self.ageOfNewborn).contains(units) else { return 0 }
    return (units &- 1) &<< shift &+ now.rawValue & (1 &<< shift &- 1)
  }

  /// The same birth so that it can be told for longer; nil while there is time for that.
  func renewed(at now: Tick) -> BirthStamp? {
    guard age(at: now) >= Self.ageOfChange else { return nil }
    let birth = now.advanced(byMilliseconds: 0 &- age(at: now) &<< Self.shift(scale))
    return scale < Self.lastScale
      ? BirthStamp(birth, scale: scale &+ 1)
      : BirthStamp(
        now.advanced(byMilliseconds: 0 &- Self.ageOfChange &<< Self.shift(scale)), scale: scale)
  }
}
