// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Text that is interpolated as octets: as quick as copying, for listings of millions of lines.
struct Octets: ExpressibleByStringInterpolation {
  let octets: [UInt8]

  init(stringLiteral text: String) { octets = Array(text.utf8) }
  init(stringInterpolation text: StringInterpolation) { octets = text.octets }

  struct StringInterpolation: StringInterpolationProtocol {
    fileprivate var octets: [UInt8] = []

    init(literalCapacity: Int, interpolationCount: Int) {
      octets.reserveCapacity(literalCapacity + 16 * interpolationCount)
    }

    mutating func appendLiteral(_ text: String) { octets.append(contentsOf: text.utf8) }
    mutating func appendInterpolation(_ text: String) { appendLiteral(text) }
    mutating func appendInterpolation(_ port: Port) { appendInterpolation(UInt32(port.rawValue)) }

    mutating func appendInterpolation(_ flag: Bool) { octets.append(flag ? 0x31 : 0x30) }

    mutating func appendInterpolation(_ number: some FixedWidthInteger & UnsignedInteger) {
      if number >= 10 { appendInterpolation(number / 10) }
      octets.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number % 10))
    }

    /// With blanks behind it where it is shorter than `width`.
    mutating func appendInterpolation(_ text: Octets, width: Int) {
      octets += text.octets
      octets += repeatElement(UInt8(ascii: " "), count: Swift.max(0, width - text.octets.count))
    }

    mutating func appendInterpolation(_ address: IPAddress) {
      guard case .v4(let address) = address else { return appendLiteral(address.description) }
      for shift in stride(from: UInt32(24), through: 0, by: -8) {
        appendInterpolation(address.rawValue >> shift & 0xff)
        if shift > 0 { octets.append(UInt8(ascii: ".")) }
      }
    }
  }
}
