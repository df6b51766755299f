// SPDX-License-Identifier: Apache-2.0

/// (IPv4 VIP, port, protocol) -> service: open addressing, at most half full, 16 octets a slot.
///
/// Its content is the operator's, not an attacker's, so the hash needs no key; the eBPF program has
/// already turned away frames of other destinations.
struct IPv4ServiceTable: BitwiseCopyable {
  struct Slot: BitwiseCopyable {
    /// Zero where vacant: a service's protocol is never zero.
    var key: UInt64 = 0
    var service: UInt64 = 0
  }

  let slots: UnsafeMutablePointer<Slot>
  let mask: UInt64

  @inline(__always)
  static func key(_ address: UInt32, _ port: UInt16, _ ipProtocol: UInt8) -> UInt64 {
    UInt64(address) &<< 32 | UInt64(port) &<< 16 | UInt64(ipProtocol)
  }

  @inline(__always) private static func hash(_ key: UInt64) -> UInt64 {
    // Fibonacci hashing; the high half is the well mixed one.
    (key &* 0x9e37_79b9_7f4a_7c15) &>> 32
  }

  /// The service's index, or 0.
  @inline(__always) func lookUp(_ key: UInt64) -> UInt16 {
    var position = Self.hash(key) & mask
    while true {
      let slot = slots[Int(truncatingIfNeeded: position)]
      if _fastPath(slot.key == key) { return UInt16(truncatingIfNeeded: slot.service) }
      if slot.key == 0 { return 0 }
      position = (position &+ 1) & mask
    }
  }

  func insert(_ key: UInt64, service: ServiceIndex) {
    var position = Self.hash(key) & mask
    while slots[Int(position)].key != 0 { position = (position + 1) & mask }
    slots[Int(position)] = Slot(key: key, service: UInt64(service.rawValue))
  }
}

/// (IPv6 VIP, port, protocol) -> service: as `IPv4ServiceTable`, 32 octets a slot.
struct IPv6ServiceTable: BitwiseCopyable {
  struct Slot: BitwiseCopyable {
    var high: UInt64 = 0
    var low: UInt64 = 0
    /// Port and protocol; zero where vacant.
    var transport: UInt64 = 0
    var service: UInt64 = 0
  }

  let slots: UnsafeMutablePointer<Slot>
  let mask: UInt64

  @inline(__always) static func transport(_ port: UInt16, _ ipProtocol: UInt8) -> UInt64 {
    UInt64(port) &<< 16 | UInt64(ipProtocol)
  }

  @inline(__always)
  private static func hash(_ high: UInt64, _ low: UInt64, _ transport: UInt64) -> UInt64 {
    ((high ^ (low &* 0xbf58_476d_1ce4_e5b9) ^ transport) &* 0x9e37_79b9_7f4a_7c15) &>> 32
  }

  /// The service's index, or 0.
  @inline(__always)
  func lookUp(_ high: UInt64, _ low: UInt64, _ transport: UInt64) -> UInt16 {
    var position = Self.hash(high, low, transport) & mask
    while true {
      let slot = slots[Int(truncatingIfNeeded: position)]
      if _fastPath(slot.transport == transport && slot.low == low && slot.high == high) {
        return UInt16(truncatingIfNeeded: slot.service)
      }
      if slot.transport == 0 { return 0 }
      position = (position &+ 1) & mask
    }
  }

  func insert(_ address: IPv6Address, _ transport: UInt64, service: ServiceIndex) {
    var position = Self.hash(address.high, address.low, transport) & mask
    while slots[Int(position)].transport != 0 { position = (position + 1) & mask }
    slots[Int(position)] = Slot(
      high: address.high, low: address.low, transport: transport,
      service: UInt64(service.rawValue))
  }
}
