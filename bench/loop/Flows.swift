// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The clients: `count` TCP connections in a fixed random order, so that no two neighbours in time
/// share a line (the worst case for caches).
struct Flows {
  static let synFlag: UInt8 = 0x02
  static let ackFlag: UInt8 = 0x10
  static let frameBytes: UInt32 = 60

  private let order: [UInt32]
  private let template: [UInt8]

  init(count: Int, seed: UInt64) {
    var generator = SplitMix(state: seed)
    order = (0..<UInt32(count)).shuffled(using: &generator)
    var frame = [UInt8](repeating: 0, count: Int(Self.frameBytes))
    frame[12] = 0x08
    frame.replaceSubrange(14..<24, with: [0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6])
    frame.replaceSubrange(36..<38, with: [0, 80])
    frame[46] = 0x50
    template = frame
  }

  var count: Int { order.count }

  /// Writes the packet of the flow whose turn it is at `position`.
  func write(
    _ position: Int, flags: UInt8, to frame: UnsafeMutableRawPointer
  ) -> UInt32 {
    let flow = order[position % order.count]
    template.withUnsafeBytes { frame.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    frame.storeBytes(of: (0x0a00_0000 + flow / 60000).bigEndian, toByteOffset: 26, as: UInt32.self)
    frame.storeBytes(
      of: (Site.firstVIP + flow % UInt32(Site.serviceCount)).bigEndian, toByteOffset: 30,
      as: UInt32.self)
    frame.storeBytes(
      of: UInt16(1024 + flow % 60000).bigEndian, toByteOffset: 34, as: UInt16.self)
    frame.storeBytes(of: flags, toByteOffset: 47, as: UInt8.self)
    return Self.frameBytes
  }
}
