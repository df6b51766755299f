// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// Writes the clients' packets: the smallest TCP segments of one family, to the services in turn.
struct Traffic {
  static let syn: UInt8 = 0x02
  static let ack: UInt8 = 0x10

  private let services: Int
  private let connectionsPerClient: UInt32
  private let family: Family
  private let template: [UInt8]
  private let networkOffset: Int

  init(_ workload: Workload) {
    services = workload.services
    connectionsPerClient = workload.connectionsPerClient
    family = workload.family
    networkOffset = family == .vlan ? 18 : 14
    let ethernet = [UInt8](repeating: 0, count: 12)
    let tcp: [UInt8] = [0, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0, 0, 0, 0, 0, 0, 0]
    let ipv4: [UInt8] =
      [0x08, 0, 0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0] + [UInt8](repeating: 0, count: 8)
    template =
      switch family {
      case .ipv4: ethernet + ipv4 + tcp + [UInt8](repeating: 0, count: 6)
      case .vlan: ethernet + [0x81, 0, 0, 5] + ipv4 + tcp + [UInt8](repeating: 0, count: 6)
      case .ipv6:
        ethernet + [0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64] + [UInt8](repeating: 0, count: 32)
          + tcp
      }
  }

  /// Writes a packet of connection `flow` and returns its length.
  func write(_ flow: UInt32, flags: UInt8, to frame: UnsafeMutableRawPointer) -> UInt32 {
    template.withUnsafeBytes { frame.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    let network = frame + networkOffset
    let service = flow % UInt32(services)
    let transport: UnsafeMutableRawPointer
    switch family {
    case .ipv4, .vlan:
      let client = 0x0a00_0000 + flow / connectionsPerClient
      network.storeBytes(of: client.bigEndian, toByteOffset: 12, as: UInt32.self)
      let vip = Site.firstVIP + service
      network.storeBytes(of: vip.bigEndian, toByteOffset: 16, as: UInt32.self)
      transport = network + 20
    case .ipv6:
      let client = UInt64(flow / connectionsPerClient)
      network.storeBytes(of: Site.ipv6Clients.bigEndian, toByteOffset: 8, as: UInt64.self)
      network.storeBytes(of: client.bigEndian, toByteOffset: 16, as: UInt64.self)
      network.storeBytes(of: Site.ipv6VIPs.bigEndian, toByteOffset: 24, as: UInt64.self)
      network.storeBytes(of: UInt64(service + 1).bigEndian, toByteOffset: 32, as: UInt64.self)
      transport = network + 40
    }
    let port = UInt16(1024 + flow % connectionsPerClient)
    transport.storeBytes(of: port.bigEndian, as: UInt16.self)
    transport.storeBytes(of: flags, toByteOffset: 13, as: UInt8.self)
    return UInt32(template.count)
  }

  /// Why parsing turns a packet away, in the order in which `writeGarbage` makes them.
  static let garbage: [DropReason] = [
    .notIP, .badHeader, .badHeader, .truncated, .unknownProtocol, .noService,
  ]

  /// Writes an IPv4 packet that is bad in the way whose turn it is at `position`.
  func writeGarbage(_ position: Int, to frame: UnsafeMutableRawPointer) -> UInt32 {
    let length = write(UInt32(position % 1000), flags: Self.ack, to: frame)
    let (offset, octet): (Int, UInt8) =
      switch position % Self.garbage.count {
      case 0: (13, 0x06)  // EtherType 0x0806, ARP
      case 1: (14, 0x65)  // version 6
      case 2: (14, 0x44)  // a header of 16 octets
      case 3: (16, 0x10)  // a packet longer than its frame
      case 4: (23, 47)  // GRE
      default: (37, 81)  // port 81
      }
    frame.storeBytes(of: octet, toByteOffset: offset, as: UInt8.self)
    return length
  }
}

/// SplitMix64, so that both subjects draw the same secret and see the same order.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}
