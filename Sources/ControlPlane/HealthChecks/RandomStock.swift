// SPDX-License-Identifier: Apache-2.0
import CProbe
import Glibc

/// The system's random numbers, many of them by one system call.
struct RandomStock: RandomNumberGenerator {
  /// So many octets come whole or not at all (getrandom(2)).
  private static let octets = 256
  private var words: [UInt64] = []

  mutating func next() -> UInt64 {
    if words.isEmpty {
      words = [UInt64](repeating: 0, count: Self.octets / 8)
      let count = words.withUnsafeMutableBytes { getrandom($0.baseAddress, $0.count, 0) }
      precondition(count == Self.octets, "getrandom: errno \(errno)")
    }
    return words.removeLast()
  }
}
