// SPDX-License-Identifier: Apache-2.0

/// What is wrong with a specification. The control plane checks its input first, so each of these
/// is a defect of the caller.
public enum SnapshotError: Error, Equatable {
  case serviceIndexReserved
  case duplicateService(VirtualServiceKey)
  case duplicateServiceIndex(ServiceIndex)
  case realServerIndexReserved
  case duplicateRealServerIndex(RealServerIndex)
  case unknownEgress(EgressIndex)
  /// Two marks take the same packets.
  case overlappingWideServices
}

/// The immutable tables that workers forward by, in one allocation.
///
/// Compiled by the control plane, published to workers as a pointer, freed when the last reference
/// goes: the publisher keeps it until every worker has taken a newer one.
public final class Snapshot: @unchecked Sendable {
  public let generation: UInt64
  /// Real servers are reached by egresses below this one.
  let egressCount: Int
  let content: UnsafePointer<SnapshotContent>
  private let memory: UnsafeMutableRawPointer

  public init(_ specification: SnapshotSpecification, generation: UInt64) throws(SnapshotError) {
    try Self.validate(specification)
    self.generation = generation
    egressCount = specification.egressMACAddresses.count
    let tables = specification.services.map(SchedulerTable.slots)
    let wide = specification.widePorts
    let sizes = Sizes(
      specification, slots: tables.reduce(0) { $0 + $1.count }, widePorts: wide.count)
    memory = .allocate(byteCount: sizes.total, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: sizes.total)
    let content = sizes.content(at: memory, generation: generation)
    Self.fill(content.pointee, from: specification, tables)
    content.pointee.wideServices.entries.initialize(from: wide, count: wide.count)
    self.content = UnsafePointer(content)
  }

  deinit { memory.deallocate() }

  private static func validate(_ specification: SnapshotSpecification) throws(SnapshotError) {
    var keys = Set<VirtualServiceKey>()
    var services = Set<ServiceIndex>()
    var realServers = Set(specification.retirements.keys)
    let marked = specification.widePorts
    for (left, right) in zip(marked, marked.dropFirst()) where left.overlaps(right) {
      throw .overlappingWideServices
    }
    for service in specification.services {
      guard service.index.rawValue != 0 else { throw .serviceIndexReserved }
      guard keys.insert(service.key).inserted else { throw .duplicateService(service.key) }
      guard services.insert(service.index).inserted else {
        throw .duplicateServiceIndex(service.index)
      }
      for realServer in service.realServers {
        guard realServer.index.rawValue != 0 else { throw .realServerIndexReserved }
        guard realServers.insert(realServer.index).inserted else {
          throw .duplicateRealServerIndex(realServer.index)
        }
        guard Int(realServer.egress) < specification.egressMACAddresses.count else {
          throw .unknownEgress(realServer.egress)
        }
      }
    }
  }

  private static func fill(
    _ content: SnapshotContent, from specification: SnapshotSpecification, _ tables: [[UInt16]]
  ) {
    let egressLimits = specification.egressLimits
    content.egressLimits.initialize(from: egressLimits, count: egressLimits.count)
    content.states.fill(specification.timeouts)
    for event in ConnectionEvent.all {
      content.beginnings[Int(event.rawValue)] = Beginning(with: event, content.states)
    }
    for (index, retirement) in specification.retirements {
      content.nextHops[Int(index.rawValue)].status =
        switch retirement {
        case .removed: .removed
        case .purged: .purged
        case .rehashed: .rehashed
        case .retired: .retired
        }
    }
    let marked = specification.services.flatMap { $0.marked.map(\.ports) }
    var (firstMember, firstSlot, firstNode) = (0, 0, StandingNodes.reserved)
    for (service, slots) in zip(specification.services, tables) {
      let members = service.realServers.map(Member.init)
      (content.members + firstMember).initialize(from: members, count: members.count)
      let thresholds = service.realServers.map {
        Thresholds(upper: $0.upperThreshold, lower: $0.lowerThreshold)
      }
      (content.thresholds + firstMember).initialize(from: thresholds, count: thresholds.count)
      (content.slots + firstSlot).initialize(from: slots, count: slots.count)
      let record = ServiceRecord(
        service, members: members, firstMember: firstMember, firstSlot: firstSlot,
        slotCount: slots.count, firstNode: firstNode)
      content.services[Int(service.index.rawValue)] = record
      let ports = VirtualPorts(of: service.key)
      if !marked.contains(where: ports.overlaps) { insert(service, into: content) }
      firstMember += members.count
      firstSlot += slots.count
      firstNode += StandingLevel.nodeCount(members.count)
      for (position, realServer) in service.realServers.enumerated() {
        content.placements[Int(realServer.index.rawValue)] = Placement(
          position: UInt32(position), service: service.index.rawValue,
          leaf: record.leaf(of: position))
        content.nextHops[Int(realServer.index.rawValue)] = NextHop(
          destination: realServer.macAddress,
          source: specification.egressMACAddresses[Int(realServer.egress)],
          egress: realServer.egress, isNarrow: egressLimits[Int(realServer.egress)] < .max,
          timeToLive: service.policy.timeToLive)
      }
    }
  }

  private static func insert(
    _ service: SnapshotSpecification.Service, into content: SnapshotContent
  ) {
    guard !service.isWide else { return }
    let (port, ipProtocol) = (service.key.port.rawValue, service.key.ipProtocol.rawValue)
    switch service.key.address {
    case .v4(let address):
      content.ipv4Services.insert(
        IPv4ServiceTable.key(address.rawValue, port, ipProtocol), service: service.index)
    case .v6(let address):
      content.ipv6Services.insert(
        address, IPv6ServiceTable.transport(port, ipProtocol), service: service.index)
    }
  }
}

extension UInt32 {
  /// Seconds in milliseconds; half the range of a tick bounds what can be compared: 24 days.
  var boundedMilliseconds: UInt32 { Swift.min(self, UInt32(Int32.max) / 1000) * 1000 }
}

/// The sections of a snapshot's allocation, each on its own cache line.
private struct Sizes {
  private var ipv4Slots = 0
  private var ipv6Slots = 0
  private var services = 0
  private var members = 0
  private let nodes: Int
  private let slots: Int
  private let widePorts: Int
  private let egresses: Int
  private var realServers = 0
  private(set) var total = 0

  init(_ specification: SnapshotSpecification, slots: Int, widePorts: Int) {
    self.slots = slots
    nodes = specification.services.reduce(StandingNodes.reserved) {
      $0 + StandingLevel.nodeCount($1.realServers.count)
    }
    self.widePorts = widePorts
    egresses = specification.egressMACAddresses.count
    let families = specification.services.count {
      if case .v4 = $0.key.address { true } else { false }
    }
    ipv4Slots = Self.tableSize(families)
    ipv6Slots = Self.tableSize(specification.services.count - families)
    services = Int(specification.services.map(\.index.rawValue).max() ?? 0) + 1
    members = specification.services.reduce(0) { $0 + $1.realServers.count }
    let listed = specification.services.lazy.flatMap(\.realServers).map(\.index.rawValue).max() ?? 0
    let gone = specification.retirements.keys.map(\.rawValue).max() ?? 0
    realServers = Int(max(listed, gone)) + 1
    var end = UnsafeMutableRawPointer(bitPattern: 64)!
    _ = place(&end, generation: 0)
    total = Int(bitPattern: end) - 64
  }

  /// A power of two with at most half of the slots taken.
  private static func tableSize(_ count: Int) -> Int {
    var slots = 16
    while slots < count * 2 { slots *= 2 }
    return slots
  }

  func content(
    at memory: UnsafeMutableRawPointer, generation: UInt64
  ) -> UnsafeMutablePointer<SnapshotContent> {
    let head = memory.bindMemory(to: SnapshotContent.self, capacity: 1)
    var end = memory
    head.initialize(to: place(&end, generation: generation))
    return head
  }

  private func place(
    _ end: inout UnsafeMutableRawPointer, generation: UInt64
  ) -> SnapshotContent {
    func section<Element>(_ count: Int, of type: Element.Type) -> UnsafeMutablePointer<Element> {
      let start = end
      end = (end + count * MemoryLayout<Element>.stride).alignedUp(toMultipleOf: 64)
      return UnsafeMutablePointer(bitPattern: UInt(bitPattern: start))!
    }
    _ = section(1, of: SnapshotContent.self)
    return SnapshotContent(
      generation: generation, nodeCount: nodes,
      ipv4Services: IPv4ServiceTable(
        slots: section(ipv4Slots, of: IPv4ServiceTable.Slot.self), count: ipv4Slots),
      ipv6Services: IPv6ServiceTable(
        slots: section(ipv6Slots, of: IPv6ServiceTable.Slot.self), count: ipv6Slots),
      wideServices: WideServiceTable(
        entries: section(widePorts, of: WidePorts.self), count: widePorts),
      services: section(services, of: ServiceRecord.self), serviceCount: services,
      members: section(members, of: Member.self),
      thresholds: section(members, of: Thresholds.self), slots: section(slots, of: UInt16.self),
      nextHops: section(realServers, of: NextHop.self),
      placements: section(realServers, of: Placement.self), realServerCount: realServers,
      egressLimits: section(egresses, of: UInt16.self),
      states: StateTable(at: section(StateTable.byteCount, of: UInt8.self)),
      beginnings: section(Int(ConnectionEvent.limit), of: Beginning.self))
  }
}
