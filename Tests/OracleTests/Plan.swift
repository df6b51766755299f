// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport

/// Frames and commands by seed, for services of many schedulers at once.
///
/// It follows the records that both directors should have, in order to leave out what would show a
/// listed deviation: those are in DeviationTests. No expectation comes from here.
struct Plan {
  /// A connection as the directors should know it.
  struct Record {
    var state: ConnectionState
    /// The last number of its real server; nil until it was seen.
    var realServer: Int?
  }

  struct Flow: Hashable, Comparable {
    var service: Int
    var client: Int
    var port: UInt16

    static func < (left: Flow, right: Flow) -> Bool {
      (left.service, left.client, left.port) < (right.service, right.client, right.port)
    }
  }

  let variants: [Variant]
  let manners: KernelManners
  var generator: Seed
  var services: [PlannedService]
  var records: [Flow: Record] = [:]
  /// The flows of the present block's steps.
  private var flows: [Flow?] = []

  init(_ variants: [Variant], _ manners: KernelManners, seed: UInt64) {
    (self.variants, self.manners, generator) = (variants, manners, Seed(seed))
    services = PlannedService.all(variants)
  }

  /// For `ipvsadm -R`.
  mutating func opening() -> [String] {
    var rules: [String] = []
    for service in services.indices {
      rules.append(services[service].command("-A"))
      for number in 151...153 {
        services[service].realServers[number] = .init(weight: number - 150)
        rules.append(services[service].command("-a", number))
      }
    }
    return rules
  }

  /// Frames that need no command in between. At the end come SYNs that open again what was closed:
  /// CLOSE lasts ten seconds only, and counts need not change at the same moment when it ends.
  mutating func nextBlock() -> [Step] {
    flows = []
    var block: [Step] = []
    for _ in 0..<15 * variants.count { append(nextStep(), to: &block) }
    let closed = records.filter { $0.value.state == .close }.keys.sorted()
    for flow in closed { append(segment(.syn, of: flow), to: &block) }
    return block
  }

  private mutating func append(_ planned: (step: Step, flow: Flow?)?, to block: inout [Step]) {
    guard let planned else { return }
    block.append(planned.step)
    flows.append(planned.flow)
  }

  /// Takes notice of where the flows of the last block went.
  mutating func note(_ outcomes: [TwoDirectors.Outcomes]) {
    for (flow, outcome) in zip(flows, outcomes) {
      if let flow, let number = outcome.kernel.realServer { records[flow]?.realServer = number }
    }
  }

  // MARK: Frames

  private mutating func nextStep() -> (Step, Flow?)? {
    let kind = Int.random(in: 0..<12, using: &generator)
    if kind == 0 { return icmpError() }
    let service = Int.random(in: services.indices, using: &generator)
    let flow = Flow(
      service: service, client: Int.random(in: 0..<4, using: &generator),
      port: .random(in: 100..<104, using: &generator))
    return services[service].isTCP ? segment(nextFlags(), of: flow) : datagram(of: flow)
  }

  /// One in four has any of the 32 combinations of the five flags but SYN with RST.
  private mutating func nextFlags() -> TCPFlags {
    guard Int.random(in: 0..<4, using: &generator) == 0 else {
      return [.syn, .syn, .ack, .ack, [.psh, .ack], [.fin, .ack], .rst]
        .randomElement(using: &generator)!
    }
    var flags = TCPFlags(rawValue: UInt8.random(in: 0..<32, using: &generator))
    if flags.isSuperset(of: [.syn, .rst]) { flags.remove(.rst) }
    return flags
  }

  private mutating func segment(_ flags: TCPFlags, of flow: Flow) -> (Step, Flow?)? {
    let event = ConnectionEvent.tcp(flags: flags.rawValue)
    let isSYN = flags.contains(.syn)
    var endsRecord = false
    if let record = records[flow] {
      // A client of a persistent service has its real server anyway.
      let isOver =
        !services[flow.service].isPersistent
        && [.timeWait, .close, .finWait].contains(record.state)
      let standing = standing(of: record, flow)
      if isSYN, isOver || standing != .open {
        guard maySchedulesAnew(record, standing, flow) else { return nil }
        records[flow] = Record(state: .none.next(on: event))
        endsRecord = true
      } else if standing == .removed {
        // No longer listed by a kernel with adapted manners, and dropped by both.
        endsRecord = manners == .adapted
      } else {
        records[flow]!.state = record.state.next(on: event)
      }
    } else if isSYN {
      records[flow] = Record(state: .none.next(on: event))
    }
    return (step(flow, flags, endsRecord), flow)
  }

  private mutating func datagram(of flow: Flow) -> (Step, Flow?)? {
    guard !services[flow.service].isOnePacket else { return (step(flow, .syn, false), nil) }
    let isRemoved = records[flow].map { standing(of: $0, flow) } == .removed
    if isRemoved, manners == .original { return nil }
    if isRemoved || records[flow] == nil { records[flow] = Record(state: .udp) }
    return (step(flow, .syn, isRemoved), flow)
  }

  /// About a live connection, or about none.
  private mutating func icmpError() -> (Step, Flow?)? {
    let live = records.filter { standing(of: $0.value, $0.key) == .open }.keys.sorted()
    let unknown = Flow(
      service: .random(in: services.indices, using: &generator), client: 0, port: 900)
    let flow = Bool.random(using: &generator) ? live.randomElement(using: &generator) : unknown
    guard let flow else { return nil }
    let service = services[flow.service]
    let packet = service.packet(client: flow.client, port: flow.port, flags: .ack)
    // Unreachable, too big, time exceeded; IPv4's source quench, IPv6's parameter problem.
    let kinds: [(type: UInt8, code: UInt8)] =
      service.isIPv6
      ? [(1, 0), (1, 4), (2, 0), (3, 0), (4, 0)] : [(3, 1), (3, 3), (3, 4), (11, 0), (4, 0)]
    let kind = kinds.randomElement(using: &generator)!
    let error = packet.answer.icmpError(
      from: service.isIPv6 ? "fd00:10::1" : "10.0.0.1", type: kind.type, code: kind.code,
      word: kind.type == 2 || kind.code == 4 ? 1400 : 0
    ).onWire
    let words = "ICMP \(kind.type).\(kind.code) about \(describe(flow))"
    return (Step(frame: error.frame, words: words, service: flow.service), nil)
  }

  private func step(_ flow: Flow, _ flags: TCPFlags, _ endsRecord: Bool) -> Step {
    let service = services[flow.service]
    let packet = service.packet(client: flow.client, port: flow.port, flags: flags)
    let words = describe(flow) + (service.isTCP ? " flags \(flags.rawValue)" : "")
    return Step(
      frame: packet.frame, words: words, service: flow.service, endsRecord: endsRecord)
  }

  private func describe(_ flow: Flow) -> String {
    let service = services[flow.service]
    let known = records[flow].map { "known in \($0.state) at \($0.realServer ?? 0)" } ?? "unknown"
    return "\(service.clients[flow.client]) \(flow.port) to \(service.name), \(known)"
  }

  // MARK: Records

  enum Standing { case open, quiesced, removed }

  private func standing(of record: Record, _ flow: Flow) -> Standing {
    guard let number = record.realServer else { return .open }
    guard let realServer = services[flow.service].realServers[number] else { return .removed }
    return realServer.weight == 0 ? .quiesced : .open
  }

  /// Whether both directors choose anew, and find a real server.
  private func maySchedulesAnew(_ record: Record, _ standing: Standing, _ flow: Flow) -> Bool {
    if manners == .original { return standing == .open && record.state != .finWait }
    let isQuiescedAnywhere = services[flow.service].realServers.values.contains { $0.weight == 0 }
    return !(services[flow.service].variant.mayRefuse && isQuiescedAnywhere)
  }
}
