// SPDX-License-Identifier: Apache-2.0

extension NextHop {
  /// Direct routing: the twelve octets of both Ethernet addresses are replaced, nothing else.
  @inline(__always) func rewrite(_ frame: UnsafeMutableRawPointer) {
    frame.storeBytes(of: addressesLow, as: UInt64.self)
    frame.storeBytes(of: addressesHigh, toByteOffset: 8, as: UInt32.self)
  }
}
