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
  private var datagramCount: UInt16 = 0

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
    for _ in 0..<20 * variants.count {
      append(nextStep(), to: &block)
      // INIT1 lasts four seconds.
      if let flow = flows.last ?? nil, records[flow]?.state == .sctpInit1 {
        append(segment(.sctp([1, 2, 10].randomElement(using: &generator)!), of: flow), to: &block)
      }
    }
    let closed = records.filter { $0.value.state == .close }.keys.sorted()
    for flow in closed { append(segment(.tcp(.syn), of: flow), to: &block) }
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
    switch services[service].ipProtocol {
    case .tcp: return segment(.tcp(nextFlags()), of: flow)
    case .sctp: return segment(.sctp(nextChunk()), of: flow)
    default: return datagram(of: flow)
    }
  }

  private mutating func nextChunk() -> UInt8 {
    guard Int.random(in: 0..<3, using: &generator) == 0 else {
      return [1, 1, 0, 0, 10].randomElement(using: &generator)!
    }
    return Segment.chunks.keys.sorted().randomElement(using: &generator)!
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

  private mutating func segment(_ segment: Segment, of flow: Flow) -> (Step, Flow?)? {
    var endsRecord = false
    if let record = records[flow] {
      // A client of a persistent service has its real server anyway.
      let isOver =
        !services[flow.service].isPersistent
        && [.timeWait, .close, .finWait, .sctpClosed].contains(record.state)
      let standing = standing(of: record, flow)
      if segment.opens, isOver || standing != .open {
        guard maySchedulesAnew(record, standing, flow) else { return nil }
        records[flow] = Record(state: .none.next(on: segment.event))
        endsRecord = true
      } else if standing == .removed {
        // No longer listed by a kernel with adapted manners, and dropped by both.
        endsRecord = manners == .adapted
      } else {
        records[flow]!.state = record.state.next(on: segment.event)
      }
    } else if segment.opens {
      records[flow] = Record(state: .none.next(on: segment.event))
    } else if case .sctp = segment {
      // Deviation.strayAssociation.
      return nil
    }
    return (step(flow, segment, endsRecord), flow)
  }

  private mutating func datagram(of flow: Flow) -> (Step, Flow?)? {
    guard !services[flow.service].isOnePacket else { return (step(flow, nil, false), nil) }
    let isRemoved = records[flow].map { standing(of: $0, flow) } == .removed
    if isRemoved, manners == .original { return nil }
    if isRemoved || records[flow] == nil { records[flow] = Record(state: .udp) }
    var step = step(flow, nil, isRemoved)
    if services[flow.service].isFragmented {
      datagramCount += 1
      let fragments = services[flow.service].fragments(
        client: flow.client, port: flow.port, identification: datagramCount)
      let order = fragments.indices.shuffled(using: &generator)
      step.frames = order.map { fragments[$0] }
      step.words += ", fragments \(order)"
    }
    return (step, flow)
  }

  /// About a live connection, or about none.
  private mutating func icmpError() -> (Step, Flow?)? {
    // Deviation.fragments: an error counts as one packet with both.
    let live = records.filter {
      standing(of: $0.value, $0.key) == .open && !services[$0.key.service].isFragmented
    }.keys.sorted()
    let unknown = Flow(
      service: .random(in: services.indices, using: &generator), client: 0, port: 900)
    let flow = Bool.random(using: &generator) ? live.randomElement(using: &generator) : unknown
    guard let flow else { return nil }
    let service = services[flow.service]
    let packet = service.packet(
      client: flow.client, port: flow.port, service.ipProtocol == .sctp ? .sctp(0) : .tcp(.ack))
    let kind = nextKind(isIPv6: service.isIPv6)
    let asksForSmaller = service.isIPv6 ? kind.type == 2 : kind == (3, 4)
    let error = packet.answer.icmpError(
      from: service.isIPv6 ? "fd00:10::1" : "10.0.0.1", type: kind.type, code: kind.code,
      word: asksForSmaller ? 1400 : 0
    ).onWire
    let words = "ICMP \(kind.type).\(kind.code) about \(describe(flow))"
    return (Step(frames: [error.frame], words: words, service: flow.service), nil)
  }

  /// Of IPv4 unreachable, source quench and time exceeded (Deviation.parameterProblem); of IPv6
  /// those of RFC 4443 §3, and any type of an error.
  private mutating func nextKind(isIPv6: Bool) -> (type: UInt8, code: UInt8) {
    if isIPv6 {
      let type = UInt8.random(in: 1...127, using: &generator)
      return [(1, 0), (1, 4), (2, 0), (3, 0), (4, 0), (type, 0)].randomElement(using: &generator)!
    }
    let code = UInt8.random(in: 0...15, using: &generator)
    return [(3, 1), (3, 3), (3, 4), (3, code), (11, 0), (11, 1), (4, 0)]
      .randomElement(using: &generator)!
  }

  private func step(_ flow: Flow, _ segment: Segment?, _ endsRecord: Bool) -> Step {
    let packet = services[flow.service].packet(client: flow.client, port: flow.port, segment)
    let words = describe(flow) + (segment.map { " \($0)" } ?? "")
    return Step(
      frames: [packet.frame], words: words, service: flow.service, endsRecord: endsRecord)
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
