// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// The forwarder against a model that keeps connections in a dictionary: seeded traffic, time and
/// changes of the real servers, compared packet by packet. One seed of five in debug builds.
@Suite struct ForwarderModelTests {
  /// What the decision should be, written the slow way.
  private struct Model {
    struct Connection {
      var realServer: UInt8
      var state: ConnectionState
      var expiry: UInt64
    }

    var policy: ServicePolicy
    var connections: [UInt16: Connection] = [:]
    /// Weight by number, in list order.
    var list: [(number: UInt8, weight: UInt32)]
    /// Number of the last choice, as rr's mark.
    var mark: UInt8?
    var now: UInt64 = 1000

    mutating func decide(port: UInt16, flags: TCPFlags) -> UInt8? {
      let event = ConnectionEvent.tcp(flags: flags.rawValue)
      let isSYN = event.decidingFlag == .syn
      let isReset = event.decidingFlag == .rst
      if let old = connections[port], old.expiry > now, !isForgotten(old) {
        let weight = list.first { $0.number == old.realServer }?.weight
        let leaves = weight == nil && policy.removal == .rehash && !isReset
        if !leaves, !(isSYN && (Self.isOver(old.state) || weight ?? 0 == 0)) {
          guard weight != nil else { return nil }
          record(port, old.realServer, old.state.next(on: event))
          return old.realServer
        }
      } else if !isSYN {
        guard policy.stray == .schedule, !isReset else { return nil }
      }
      guard let chosen = schedule() else {
        guard let old = connections[port], old.expiry > now, !Self.isOver(old.state),
          !isForgotten(old), list.contains(where: { $0.number == old.realServer })
        else {
          if isSYN { connections[port] = nil }
          return nil
        }
        record(port, old.realServer, old.state.next(on: event))
        return old.realServer
      }
      record(port, chosen, ConnectionState.none.next(on: event))
      return chosen
    }

    private func isForgotten(_ old: Connection) -> Bool {
      policy.removal == .purge && !list.contains { $0.number == old.realServer }
    }

    private static func isOver(_ state: ConnectionState) -> Bool {
      [.timeWait, .close, .finWait].contains(state)
    }

    private mutating func record(_ port: UInt16, _ number: UInt8, _ state: ConnectionState) {
      connections[port] = Connection(
        realServer: number, state: state,
        expiry: now + UInt64(ConnectionTimeouts.lvs[state]) * 1000)
    }

    private mutating func schedule() -> UInt8? {
      let start = list.firstIndex { $0.number == mark }.map { $0 + 1 } ?? 0
      for offset in 0..<list.count {
        let candidate = list[(start + offset) % list.count]
        guard candidate.weight > 0 else { continue }
        mark = candidate.number
        return candidate.number
      }
      return nil
    }

    mutating func forgetPurged() {
      connections = connections.filter { !isForgotten($1) }
    }

    mutating func remove(_ number: UInt8) {
      guard let place = list.firstIndex(where: { $0.number == number }) else { return }
      if mark == number { mark = place > 0 ? list[place - 1].number : nil }
      list.remove(at: place)
    }
  }

  @Test(arguments: thinned(0..<20, to: 5))
  func agrees(_ seed: Int) throws {
    var chance = Seed(UInt64(seed))
    var policy = ServicePolicy(for: .tcp)
    policy.removal = ServicePolicy.Removal.allCases[seed % 3]
    policy.stray = ServicePolicy.Stray.allCases[seed / 3 % 3]
    policy.timeToLive = seed.isMultiple(of: 2) ? .preserve : .one
    let desk = try ForwarderDesk(entries: 1 << 14, seed: UInt64(seed))
    var model = Model(policy: policy, list: [(4, 1), (3, 1), (2, 1), (1, 1)])
    var revision: UInt32 = 1
    try publish(model, revision, to: desk)
    for step in 0..<2000 {
      if Int.random(in: 0..<60, using: &chance) == 0 {
        change(&model, using: &chance)
        revision += 1
        try publish(model, revision, to: desk)
        if policy.removal == .purge {
          desk.sweepAll()
          model.now += 12_000
          model.forgetPurged()
        }
      }
      if Int.random(in: 0..<8, using: &chance) == 0 {
        let milliseconds = [1, 500, 11_000, 61_000, 130_000].randomElement(using: &chance)!
        model.now += UInt64(milliseconds)
        desk.advance(seconds: Double(milliseconds) / 1000)
        desk.forwarder.sweep(now: desk.now)
      }
      let port = UInt16.random(in: 1..<40, using: &chance)
      let flags = [TCPFlags.syn, .ack, [.ack, .psh], [.fin, .ack], .rst, [.rst, .ack], []]
        .randomElement(using: &chance)!
      let packet = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149").with {
        $0.sourcePort = Port(port)
        $0.tcpFlags = flags
      }
      let result = desk.forward(packet)
      let expected = model.decide(port: port, flags: flags)
      try #require(
        (result.verdict.isForward ? result.frame[5] : nil) == expected,
        "seed \(seed), step \(step)")
    }
    try compareCounts(desk, model, "seed \(seed)")
  }

  private func change(_ model: inout Model, using chance: inout Seed) {
    let number = UInt8.random(in: 1...6, using: &chance)
    if let place = model.list.firstIndex(where: { $0.number == number }) {
      if Bool.random(using: &chance) {
        model.list[place].weight ^= 1
      } else {
        model.remove(number)
      }
    } else {
      model.list.insert((number, 1), at: 0)
    }
  }

  private func publish(_ model: Model, _ revision: UInt32, to desk: ForwarderDesk) throws {
    var specification = SnapshotSpecification.site()
    specification.services = [specification.services[0]]
    specification.services[0].revision = revision
    specification.services[0].policy = model.policy
    specification.services[0].realServers = model.list.map { .number($0.number, weight: $0.weight) }
    for number in 1...6 where !model.list.contains(where: { $0.number == number }) {
      specification.retirements[RealServerIndex(rawValue: UInt16(number))] = .removed
    }
    try desk.adopt(specification)
  }

  /// Active and inactive counts of each real server are those of its live records.
  private func compareCounts(_ desk: ForwarderDesk, _ model: Model, _ label: String) throws {
    // A record may stay counted for one sweep, 4 s, after its time: wait until none is that fresh.
    var end = model.now
    repeat {
      desk.sweepAll()
      end += 12_000
    } while model.connections.values.contains { $0.expiry <= end && $0.expiry + 5000 > end }
    let live = model.connections.values.filter { $0.expiry > end }
    for number in UInt8(1)...6 {
      let own = live.filter { $0.realServer == number }
      let counted = desk.view.statistics(of: RealServerIndex(rawValue: UInt16(number)))
      #expect(Int(counted.active) == own.count(where: \.state.isActive), "\(label)")
      #expect(Int(counted.inactive) == own.count { !$0.state.isActive }, "\(label)")
    }
    #expect(Int(desk.view.ipv4Connections) == live.count, "\(label)")
  }
}
