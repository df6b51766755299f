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

  private let slots: UnsafeMutablePointer<Slot>
  /// Of the bits of a product that are a slot's offset.
  private let mask: UInt64
  private static let slotBytes: UInt64 = 16

  /// - Parameter count: of slots, zeroed; a power of two.
  init(slots: UnsafeMutablePointer<Slot>, count: Int) {
    self.slots = slots
    mask = UInt64(count - 1) * Self.slotBytes
  }

  @inline(__always)
  static func key(_ address: UInt32, _ port: UInt16, _ ipProtocol: UInt8) -> UInt64 {
    UInt64(address) &<< 32 | UInt64(port) &<< 16 | UInt64(ipProtocol)
  }

  /// Where a key's slot lies, in octets. Fibonacci hashing: the high half is the well mixed one.
  @inline(__always) private func offset(_ key: UInt64) -> UInt64 {
    (key &* 0x9e37_79b9_7f4a_7c15) &>> 28 & mask
  }

  @inline(__always) private func slot(_ offset: UInt64) -> UnsafeMutablePointer<Slot> {
    (UnsafeMutableRawPointer(slots) + Int(truncatingIfNeeded: offset))
      .assumingMemoryBound(to: Slot.self)
  }

  /// The service's index; nil where there is none.
  @inline(__always) func lookUp(_ key: UInt64) -> UInt16? {
    let offset = offset(key)
    if _fastPath(slot(offset).pointee.key == key) {
      return UInt16(truncatingIfNeeded: slot(offset).pointee.service)
    }
    return lookUp(key, behind: offset)
  }

  @inline(never) private func lookUp(_ key: UInt64, behind first: UInt64) -> UInt16? {
    var offset = first
    while slot(offset).pointee.key != 0 {
      offset = (offset &+ Self.slotBytes) & mask
      if slot(offset).pointee.key == key {
        return UInt16(truncatingIfNeeded: slot(offset).pointee.service)
      }
    }
    return nil
  }

  func insert(_ key: UInt64, service: ServiceIndex) {
    var offset = offset(key)
    while slot(offset).pointee.key != 0 { offset = (offset + Self.slotBytes) & mask }
    slot(offset).pointee = Slot(key: key, service: UInt64(service.rawValue))
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

    @inline(__always)
    func holds(_ high: UInt64, _ low: UInt64, _ transport: UInt64) -> Bool {
      self.transport == transport && self.low == low && self.high == high
    }
  }

  private let slots: UnsafeMutablePointer<Slot>
  private let mask: UInt64
  private static let slotBytes: UInt64 = 32

  /// As `IPv4ServiceTable`'s.
  init(slots: UnsafeMutablePointer<Slot>, count: Int) {
    self.slots = slots
    mask = UInt64(count - 1) * Self.slotBytes
  }

  @inline(__always) static func transport(_ port: UInt16, _ ipProtocol: UInt8) -> UInt64 {
    UInt64(port) &<< 16 | UInt64(ipProtocol)
  }

  @inline(__always)
  private func offset(_ high: UInt64, _ low: UInt64, _ transport: UInt64) -> UInt64 {
    ((high ^ (low &* 0xbf58_476d_1ce4_e5b9) ^ transport) &* 0x9e37_79b9_7f4a_7c15) &>> 27 & mask
  }

  @inline(__always) private func slot(_ offset: UInt64) -> UnsafeMutablePointer<Slot> {
    (UnsafeMutableRawPointer(slots) + Int(truncatingIfNeeded: offset))
      .assumingMemoryBound(to: Slot.self)
  }

  /// The service's index; nil where there is none.
  @inline(__always)
  func lookUp(_ high: UInt64, _ low: UInt64, _ transport: UInt64) -> UInt16? {
    let offset = offset(high, low, transport)
    if _fastPath(slot(offset).pointee.holds(high, low, transport)) {
      return UInt16(truncatingIfNeeded: slot(offset).pointee.service)
    }
    return lookUp(high, low, transport, behind: offset)
  }

  @inline(never)
  private func lookUp(
    _ high: UInt64, _ low: UInt64, _ transport: UInt64, behind first: UInt64
  ) -> UInt16? {
    var offset = first
    while slot(offset).pointee.transport != 0 {
      offset = (offset &+ Self.slotBytes) & mask
      if slot(offset).pointee.holds(high, low, transport) {
        return UInt16(truncatingIfNeeded: slot(offset).pointee.service)
      }
    }
    return nil
  }

  func insert(_ address: IPv6Address, _ transport: UInt64, service: ServiceIndex) {
    var offset = offset(address.high, address.low, transport)
    while slot(offset).pointee.transport != 0 { offset = (offset + Self.slotBytes) & mask }
    slot(offset).pointee = Slot(
      high: address.high, low: address.low, transport: transport,
      service: UInt64(service.rawValue))
  }
}
