// SPDX-License-Identifier: Apache-2.0

/// The tables of `sh`, `dh`, `mh` and `maglev`: real servers by hash, as positions in their
/// service's list. Compiled into the snapshot, read by every decision.
enum SchedulerTable {
  /// `IP_VS_SH_TAB_SIZE`, `IP_VS_DH_TAB_SIZE`: 2⁸.
  static let sourceHashSlots: UInt32 = 256
  /// `IP_VS_MH_TAB_SIZE` at the default `CONFIG_IP_VS_MH_TAB_INDEX` of 12: `primes[4]`.
  static let maglevSlots: UInt32 = 4093

  /// The table of `service`; empty where its scheduler has none, or no real server to put in.
  static func slots(of service: SnapshotSpecification.Service) -> [UInt16] {
    guard !service.realServers.isEmpty else { return [] }
    switch service.scheduler {
    case .sh: return sourceHash(service.realServers.map(\.weight))
    case .dh: return destinationHash(service)
    case .mh: return maglev(service)
    case .maglev: return MaglevTable.slots(of: service)
    default: return []
    }
  }

  /// `ip_vs_sh_reassign`: the list over and over, each real server as often as its weight, and
  /// once if that is 0.
  private static func sourceHash(_ weights: [UInt32]) -> [UInt16] {
    var slots: [UInt16] = []
    while true {
      for (position, weight) in weights.enumerated() {
        for _ in 0..<max(1, weight) {
          slots.append(UInt16(position))
          if slots.count == Int(sourceHashSlots) { return slots }
        }
      }
    }
  }

  /// `ip_vs_dh_reassign`: the list over and over. Only the slots that are ever looked up, one per
  /// VIP of the service, by the VIP's number.
  private static func destinationHash(_ service: SnapshotSpecification.Service) -> [UInt16] {
    func slot(_ address: IPAddress) -> UInt16 {
      UInt16(Int(hash32(address.folded)) % service.realServers.count)
    }
    guard service.key.mark != nil else { return [slot(service.key.address)] }
    let highest = service.marked.map(\.vip).max() ?? 0
    var slots = [UInt16](repeating: 0, count: Int(highest) + 1)
    for marked in service.marked { slots[Int(marked.vip)] = slot(marked.ports.address) }
    return slots
  }

  /// `ip_vs_mh_reassign`. Weights are the last ones above zero: a drained real server keeps its
  /// slots. Of more real servers than slots, the first ones have one each.
  private static func maglev(_ service: SnapshotSpecification.Service) -> [UInt16] {
    let weights = service.realServers.map(\.lastWeight)
    let divisor = weights.reduce(0, greatestCommonDivisor)
    guard divisor > 0, let heaviest = weights.max() else { return [] }
    let bits = UInt32.bitWidth - (heaviest / divisor).leadingZeroBitCount
    // `IP_VS_MH_TAB_BITS` is half of 12.
    let shift = max(0, bits - 6)
    let size = Int(maglevSlots)
    var places = service.realServers.map {
      maglevHash(key: offsetKey, $0.address.folded, service.key.port.rawValue, 0) % maglevSlots
    }
    let skips = service.realServers.map {
      maglevHash(key: skipKey, $0.address.folded, service.key.port.rawValue, 0)
        % (maglevSlots - 1) + 1
    }
    let turns = weights.map { $0 == 0 ? 0 : max(1, ($0 / divisor) >> shift) }
    var slots = [UInt16](repeating: .max, count: size)
    var filled = 0
    while true {
      for position in turns.indices {
        for _ in 0..<turns[position] {
          while slots[Int(places[position])] != .max {
            places[position] = (places[position] + skips[position]) % maglevSlots
          }
          slots[Int(places[position])] = UInt16(position)
          filled += 1
          if filled == size { return slots }
        }
      }
    }
  }

  /// `hash_32(value, 8)` of linux/hash.h, 0…255.
  @inline(__always) static func hash32(_ value: UInt32) -> UInt32 {
    (value &* 0x61c8_8647) &>> 24
  }

  /// `generate_hash_secret` of ip_vs_mh.c: both words of either key.
  static let offsetKey: UInt64 = 2_654_435_761
  static let skipKey: UInt64 = 2_654_446_892

  /// `ip_vs_mh_hashkey`: `hsiphash` of four octets as 64-bit kernels compute it, SipHash-1-3 cut
  /// to 32 bits.
  static func maglevHash(
    key: UInt64, _ address: UInt32, _ port: UInt16, _ offset: UInt32
  ) -> UInt32 {
    let word = UInt64(4) &<< 56 | UInt64(offset &+ UInt32(port) &+ address)
    var state = SipState(key)
    state.absorb(word)
    return UInt32(truncatingIfNeeded: state.finish())
  }
}

extension IPAddress {
  /// `addr_fold` of the kernel's hashing schedulers, in host order.
  var folded: UInt32 {
    switch self {
    case .v4(let address): address.rawValue
    case .v6(let address): Client.folded(address.high, address.low)
    }
  }

  /// As `Client` keeps it.
  var words: (high: UInt64, low: UInt64) {
    switch self {
    case .v4(let address): (0, 0xffff_0000_0000 | UInt64(address.rawValue))
    case .v6(let address): (address.high, address.low)
    }
  }
}

func greatestCommonDivisor(_ left: UInt32, _ right: UInt32) -> UInt32 {
  var (left, right) = (left, right)
  while right != 0 { (left, right) = (right, left % right) }
  return left
}
