// SPDX-License-Identifier: Apache-2.0

/// The table of `maglev` (Eisenbud et al., "Maglev", NSDI 2016, section 3.4): each real server
/// takes slots in an order of its own, in turns that come as often as its weight says.
///
/// It depends on addresses, the port and weights only, so that all directors have the same. A real
/// server that is down or drained keeps its slots; the table changes when one is added or removed
/// or a weight above zero edited.
enum MaglevTable {
  /// Primes just above 2¹², 2¹⁶, 2²⁰, 2²³; the least with a hundred slots per real server is
  /// taken, for 40, 655, 10 485, 65 535 of them. Few sizes, because another size is another table
  /// altogether. Two octets a slot: 8 kB, 128 kB, 2 MB, 16 MB.
  static let sizes: [UInt64] = [4099, 65537, 1_048_583, 8_388_617]
  static let slotsPerRealServer = 100

  static func slots(of service: SnapshotSpecification.Service) -> [UInt16] {
    // Turns at equal times go by hash, not by place in the list.
    let takers = service.realServers.indices.lazy
      .filter { service.realServers[$0].lastWeight > 0 }
      .map { Taker(service.realServers[$0], port: service.key.port, position: UInt16($0)) }
      .sorted { ($0.offset, $0.position) < ($1.offset, $1.position) }
    guard !takers.isEmpty else { return [] }
    let wanted = UInt64(service.realServers.count * slotsPerRealServer)
    let size = sizes.first { $0 >= wanted } ?? sizes[sizes.count - 1]
    let turns = turns(of: takers.map(\.weight), slots: size)
    var places = takers.map { $0.offset % size }
    let skips = takers.map { $0.skip % (size - 1) + 1 }
    var slots = [UInt16](repeating: .max, count: Int(size))
    for turn in turns.prefix(Int(size)) {
      let taker = Int(turn & 0xffff)
      var place = places[taker]
      while slots[Int(place)] != .max {
        place += skips[taker]
        if place >= size { place -= size }
      }
      slots[Int(place)] = takers[taker].position
      places[taker] = place
    }
    return slots
  }

  /// Whose turn it is, at least `slots` times: the taker's number in the low 16 bits.
  ///
  /// Turn k of a real server of weight w comes at (2k + 1)/w. Positive floating-point numbers sort
  /// as their bits do, of which the last 16 make room for the number.
  private static func turns(of weights: [UInt32], slots: UInt64) -> [UInt64] {
    let sum = weights.reduce(0) { $0 + UInt64($1) }
    var turns: [UInt64] = []
    turns.reserveCapacity(Int(slots) + weights.count)
    for (taker, weight) in weights.enumerated() {
      for turn in 0..<(slots * UInt64(weight) + sum - 1) / sum {
        let time = Double(2 * turn + 1) / Double(weight)
        turns.append(time.bitPattern & ~0xffff | UInt64(taker))
      }
    }
    turns.sort()
    return turns
  }

  /// A real server and its order of slots.
  private struct Taker {
    let position: UInt16
    let weight: UInt32
    let offset: UInt64
    let skip: UInt64

    init(_ realServer: SnapshotSpecification.RealServer, port: Port, position: UInt16) {
      self.position = position
      weight = realServer.lastWeight
      let (high, low) = realServer.address.words
      let transport = UInt64(port.rawValue)
      offset = MaglevTable.hash(key: SchedulerTable.offsetKey, high, low, transport)
      skip = MaglevTable.hash(key: SchedulerTable.skipKey, high, low, transport)
    }
  }

  /// SipHash-1-3 of 23 octets: an address and seven more. The key is fixed: a director that takes
  /// over chooses alike.
  @inline(__always)
  static func hash(key: UInt64, _ high: UInt64, _ low: UInt64, _ transport: UInt64) -> UInt64 {
    var state = SipState(key)
    state.absorb(high)
    state.absorb(low)
    state.absorb(23 &<< 56 | transport)
    return state.finish()
  }
}
