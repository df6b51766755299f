// SPDX-License-Identifier: Apache-2.0

@testable import DataPlane

/// The schedulers that count, as their kernel files have them: one walk over the whole list for
/// each question, nothing kept but what the kernel keeps. What long lists are held against.
struct LinearScheduler {
  typealias RealServer = SnapshotSpecification.RealServer

  static let schedulers: [Scheduler] = [
    .lc, .wlc, .sed, .nq, .fo, .ovf, .lblc, .lblcr, .twos, .rr, .wrr,
  ]

  let scheduler: Scheduler
  let hashKey: HashKey
  /// In LVS order.
  private(set) var list: [RealServer] = []
  /// Those marked as overloaded, with the threshold that marked them.
  private var marks: [UInt16: UInt32] = [:]
  /// `lblc`'s real server; the last one of `lblcr`'s set is the one that joined last.
  private var known: UInt16?
  private(set) var set: [UInt16] = []
  private var draws: UInt32 = 0
  private var place = -1
  private var currentWeight = 0

  init(_ scheduler: Scheduler, hashKey: HashKey) {
    self.scheduler = scheduler
    self.hashKey = hashKey
  }

  mutating func adopt(_ list: [RealServer]) {
    let isFirst = self.list.isEmpty
    if scheduler == .rr {
      // `ip_vs_rr_del_dest`: back to the one before.
      while place >= 0, !list.contains(where: { $0.index == self.list[place].index }) { place -= 1 }
      if place >= 0 { place = list.firstIndex { $0.index == self.list[place].index } ?? -1 }
    } else {
      place = -1
    }
    self.list = list
    // `ip_vs_wrr_init_svc`, `ip_vs_wrr_dest_changed`.
    let step = max(1, Int(list.reduce(0) { greatestCommonDivisor($0, $1.weight) }))
    let first = Int(list.map(\.weight).max() ?? 0) - (step - 1)
    if isFirst || currentWeight > first || currentWeight == 0 {
      currentWeight = first
    } else if step > 1 {
      currentWeight = currentWeight / step * step + 1
    }
  }

  /// Another worker changed the set of all.
  mutating func share(_ set: [UInt16], _ known: UInt16?) { (self.set, self.known) = (set, known) }
  var shared: (set: [UInt16], known: UInt16?) { (set, known) }

  /// - Parameter word: a real server's connections, as `ConnectionLoads` has them.
  mutating func schedule(
    client: UInt32, port: UInt16, _ word: (UInt16) -> UInt64
  ) -> UInt16? {
    func active(_ realServer: UInt16) -> UInt64 { word(realServer) & 0xffff_ffff }
    draws += 1
    if scheduler == .lblc, let known, let it = list.first(where: { $0.index.rawValue == known }),
      it.isAvailable, active(known) <= UInt64(it.weight) || !hasRoom(active)
    {
      return known
    }
    var accepting: [RealServer] = []
    for realServer in list where look(realServer, word(realServer.index.rawValue)) {
      if realServer.isAvailable { accepting.append(realServer) }
    }
    switch scheduler {
    case .lblc:
      let least = least(accepting, word)
      if let least { known = least }
      return least
    case .lblcr: return replicated(accepting, word, active)
    case .twos: return lesserOfTwo(accepting, client, port, word)
    case .rr:
      let next = list.indices.map { (place + 1 + $0) % list.count }.first { next in
        accepting.contains { $0.index == list[next].index }
      }
      if let next { place = next }
      return next.map { list[$0].index.rawValue }
    case .wrr: return roundRobin(accepting)
    case .ovf:
      return least(accepting.filter { active($0.index.rawValue) <= UInt64($0.weight) }, word)
    case .nq:
      return accepting.first { active($0.index.rawValue) == 0 }?.index.rawValue
        ?? least(accepting, word)
    default: return least(accepting, word)
    }
  }

  /// `ip_vs_bind_dest`, `ip_vs_unbind_dest`: brings the mark up to date; true where there is none.
  @discardableResult mutating func look(_ realServer: RealServer, _ word: UInt64) -> Bool {
    let (upper, lower) = (realServer.upperThreshold, realServer.lowerThreshold)
    let index = realServer.index.rawValue
    guard upper > 0 else {
      marks[index] = nil
      return true
    }
    let total = (word & 0xffff_ffff) + word >> 32
    if let mark = marks[index], mark < upper { marks[index] = nil }
    if total >= UInt64(upper) {
      marks[index] = upper
    } else if marks[index] != nil {
      let isOver = lower > 0 ? total < UInt64(lower) : total * 4 < UInt64(upper) * 3
      marks[index] = isOver ? nil : upper
    }
    return marks[index] == nil
  }

  private func hasRoom(_ active: (UInt16) -> UInt64) -> Bool {
    list.contains { $0.isAvailable && active($0.index.rawValue) * 2 < UInt64($0.weight) }
  }

  private func cost(_ word: UInt64) -> UInt128 {
    let (active, inactive) = (UInt128(word & 0xffff_ffff), UInt128(word >> 32))
    return switch scheduler {
    case .sed, .nq: active + 1
    case .fo, .ovf: 1
    default: active * 256 + inactive
    }
  }

  private func least(_ list: [RealServer], _ word: (UInt16) -> UInt64) -> UInt16? {
    func weight(_ realServer: RealServer) -> UInt128 {
      scheduler == .lc ? 1 : UInt128(realServer.weight)
    }
    guard var least = list.first else { return nil }
    for other in list.dropFirst()
    where cost(word(least.index.rawValue)) * weight(other)
      > cost(word(other.index.rawValue)) * weight(least)
    {
      least = other
    }
    return least.index.rawValue
  }

  /// `ip_vs_lblcr_schedule`; a member that is not in the list counts for nothing.
  private mutating func replicated(
    _ accepting: [RealServer], _ word: (UInt16) -> UInt64, _ active: (UInt16) -> UInt64
  ) -> UInt16? {
    // The one that joined last comes first in the kernel's list.
    let members = set.reversed().compactMap { index in
      accepting.first { $0.index.rawValue == index }
    }
    if let index = least(members, word),
      let it = members.first(where: { $0.index.rawValue == index }),
      active(index) <= UInt64(it.weight) || !hasRoom(active)
    {
      return index
    }
    guard let index = least(accepting, word) else { return nil }
    if !set.contains(index) { set.append(index) }
    return index
  }

  private func lesserOfTwo(
    _ accepting: [RealServer], _ client: UInt32, _ port: UInt16, _ word: (UInt16) -> UInt64
  ) -> UInt16? {
    let sum = accepting.reduce(0) { $0 + UInt64($1.weight) }
    guard sum > 0 else { return nil }
    let left = hashKey.hash(UInt64(client) << 32 | UInt64(port), UInt64(draws), 0)
    let right = hashKey.hash(left, UInt64(draws), 1)
    func drawn(_ hash: UInt64) -> RealServer? {
      var lot = hash % (sum + 1)
      for realServer in accepting {
        if lot <= UInt64(realServer.weight) { return realServer }
        lot -= UInt64(realServer.weight)
      }
      return nil
    }
    guard let first = drawn(left), let second = drawn(right) else { return nil }
    return least([first, second], word)
  }

  /// `ip_vs_wrr_schedule`, a step of the threshold after each walk.
  private mutating func roundRobin(_ accepting: [RealServer]) -> UInt16? {
    guard !accepting.isEmpty else { return nil }
    let step = max(1, Int(list.reduce(0) { greatestCommonDivisor($0, $1.weight) }))
    let first = Int(list.map(\.weight).max() ?? 0) - (step - 1)
    let indices = Set(accepting.map(\.index))
    while true {
      while place + 1 < list.count {
        place += 1
        if Int(list[place].weight) >= currentWeight, indices.contains(list[place].index) {
          return list[place].index.rawValue
        }
      }
      place = -1
      currentWeight = currentWeight > step ? currentWeight - step : first
    }
  }
}

extension SnapshotSpecification.RealServer {
  /// Weight and neighbour.
  fileprivate var isAvailable: Bool { weight > 0 && isResolved && macAddress != nil }
}
