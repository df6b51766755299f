// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A moment on CLOCK_MONOTONIC in milliseconds, modulo 2³²: it wraps every 49 days.
///
/// Two ticks may be compared while they are less than 24 days apart, which the sweep guarantees
/// for every stored expiry.
public struct Tick: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt32
  @inline(__always) public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The present. One vDSO call: read it once per batch.
  public static func now() -> Tick {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Tick(
      rawValue: UInt32(
        truncatingIfNeeded: Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000))
  }

  /// Milliseconds from `earlier` to this tick, negative when it lies before.
  @inline(__always) public func milliseconds(since earlier: Tick) -> Int32 {
    Int32(bitPattern: rawValue &- earlier.rawValue)
  }

  @inline(__always) public func advanced(byMilliseconds milliseconds: UInt32) -> Tick {
    Tick(rawValue: rawValue &+ milliseconds)
  }
}
