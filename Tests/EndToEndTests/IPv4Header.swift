// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// The fields that these tests look at, of an untagged frame (RFC 791 §3.1).
struct IPv4Header {
  let ipProtocol: UInt8
  let source: IPAddress
  let destination: IPAddress

  init?(_ frame: [UInt8]) {
    guard frame.count >= 34, frame[12] == 0x08, frame[13] == 0x00 else { return nil }
    func address(_ offset: Int) -> IPAddress {
      .v4(IPv4Address(rawValue: frame[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }))
    }
    ipProtocol = frame[14 + 9]
    source = address(14 + 12)
    destination = address(14 + 16)
  }
}
