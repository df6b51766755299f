// SPDX-License-Identifier: Apache-2.0

/// SipHash with one round per word and three at the end (lib/siphash.c).
/// Both words of the key are alike. The last word's highest octet is the message's length.
struct SipState {
  private var v0: UInt64
  private var v1: UInt64
  private var v2: UInt64
  private var v3: UInt64

  @inline(__always) init(_ key: UInt64) {
    v0 = 0x736f_6d65_7073_6575 ^ key
    v1 = 0x646f_7261_6e64_6f6d ^ key
    v2 = 0x6c79_6765_6e65_7261 ^ key
    v3 = 0x7465_6462_7974_6573 ^ key
  }

  @inline(__always) mutating func absorb(_ word: UInt64) {
    v3 ^= word
    round()
    v0 ^= word
  }

  /// The hash; 32-bit users take its low half.
  @inline(__always) mutating func finish() -> UInt64 {
    v2 ^= 0xff
    round()
    round()
    round()
    return v0 ^ v1 ^ v2 ^ v3
  }

  @inline(__always) private mutating func round() {
    v0 = v0 &+ v1
    v1 = Self.rotated(v1, 13) ^ v0
    v0 = Self.rotated(v0, 32)
    v2 = v2 &+ v3
    v3 = Self.rotated(v3, 16) ^ v2
    v0 = v0 &+ v3
    v3 = Self.rotated(v3, 21) ^ v0
    v2 = v2 &+ v1
    v1 = Self.rotated(v1, 17) ^ v2
    v2 = Self.rotated(v2, 32)
  }

  @inline(__always) private static func rotated(_ word: UInt64, _ count: UInt64) -> UInt64 {
    word &<< count | word &>> (64 &- count)
  }
}
