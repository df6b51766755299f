// SPDX-License-Identifier: Apache-2.0

/// How frames reach one real server; 16 octets, the only snapshot line a hit touches besides the
/// service table.
struct NextHop: BitwiseCopyable {
  /// The first twelve octets of the outgoing frame, as they lie in memory: the real server's MAC
  /// address, then the egress interface's.
  var addressesLow: UInt64
  var addressesHigh: UInt32
  var egress: EgressIndex
  var status: Status
  var timeToLive: ServicePolicy.TimeToLive
  private var padding: UInt8 = 0

  struct Status: RawRepresentable, BitwiseCopyable, Equatable {
    var rawValue: UInt8
    @inline(__always) init(rawValue: UInt8) { self.rawValue = rawValue }
    /// No real server has this index.
    static let vacant = Status(rawValue: 0)
    /// Connections are forwarded.
    static let live = Status(rawValue: 1)
    /// Never had a MAC address.
    static let unresolved = Status(rawValue: 2)
    static let removed = Status(rawValue: 3)
    /// The sweep frees its connections.
    static let retired = Status(rawValue: 4)
    /// Connections are forwarded out of line, because their packets' TTL changes or they may be
    /// too large for the egress.
    static let altering = Status(rawValue: 5)
    /// As removed, whatever the service's policy: its connections are forgotten.
    static let purged = Status(rawValue: 6)
    /// As removed, whatever the service's policy: its connections go to others.
    static let rehashed = Status(rawValue: 7)

    var isLive: Bool { self == .live || self == .altering }
    /// Whether no real server of any service has the index now.
    var isGone: Bool { !isLive && self != .unresolved }
  }

  /// - Parameters:
  ///   - destination: nil where the real server never had a MAC address.
  ///   - isNarrow: whether packets come in that are too large for the egress.
  init(
    destination: MACAddress?, source: MACAddress, egress: EgressIndex, isNarrow: Bool,
    timeToLive: ServicePolicy.TimeToLive
  ) {
    let status: Status =
      destination == nil
      ? .unresolved : timeToLive == .preserve && !isNarrow ? .live : .altering
    let destination = destination ?? MACAddress(rawValue: 0)
    let wire = destination.octets + source.octets
    addressesLow = wire[0..<8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    addressesHigh = wire[8..<12].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    self.egress = egress
    self.status = status
    self.timeToLive = timeToLive
  }
}

/// One real server in the list of its service, 8 octets.
struct Member: BitwiseCopyable {
  var weight: UInt32
  var realServer: UInt16
  /// Weight above zero and a reachable neighbour.
  var takesConnections: Bool
  /// Whether an upper threshold is set.
  var isLimited: Bool

  init(_ realServer: SnapshotSpecification.RealServer) {
    weight = realServer.weight
    self.realServer = realServer.index.rawValue
    takesConnections =
      realServer.weight > 0 && realServer.isResolved && realServer.macAddress != nil
    isLimited = realServer.upperThreshold != 0
  }
}

/// One virtual service, 64 octets; no hit reads it. All zero where no service has the index.
struct ServiceRecord: BitwiseCopyable {
  var firstMember: UInt32
  var memberCount: UInt32
  var revision: UInt32
  /// `mark->di` of ip_vs_wrr.c: the greatest common divisor of the weights, at least 1.
  var weightStep: UInt32
  /// `mark->mw`: the threshold a round starts from.
  var firstWeight: UInt32
  /// The greatest weight among those that take connections.
  var heaviestAvailable: UInt32
  /// Where its scheduler's table begins, and its length: 0 where there is none.
  var firstSlot: UInt32
  var slotCount: UInt32
  var scheduler: Scheduler
  var flags: SchedulerFlags
  /// Whether its connections are in the IPv6 table: those over IPv6 and those of many ports.
  var usesIPv6Table: Bool
  var traits: Traits
  var isInService: Bool
  var policy: ServicePolicy
  /// The root of its tree among `StandingNodes`; 0 where its list is short and has none.
  var firstNode: UInt16
  /// How long a template lasts; 0 where the service is not persistent.
  var persistenceMilliseconds: UInt32
  /// Of the client's address, as `Client` keeps it.
  var maskHigh: UInt64
  var maskLow: UInt64

  /// What makes more of the opening of a connection than the scheduler's choice.
  struct Traits: OptionSet, BitwiseCopyable {
    var rawValue: UInt8
    /// One of its real servers has an upper threshold.
    static let limited = Traits(rawValue: 1)
    /// Its datagrams leave no record behind.
    static let onePacket = Traits(rawValue: 2)
    static let persistent = Traits(rawValue: 4)
  }

  var isLimited: Bool { traits.contains(.limited) }
  var isOnePacket: Bool { traits.contains(.onePacket) }

  /// - Parameters:
  ///   - firstMember: where `members` lie in their section.
  ///   - firstSlot: where the scheduler's `slotCount` slots lie in theirs.
  ///   - firstNode: where its standings would lie in each worker's.
  init(
    _ service: SnapshotSpecification.Service, members: [Member], firstMember: Int, firstSlot: Int,
    slotCount: Int, firstNode: Int
  ) {
    self.firstMember = UInt32(firstMember)
    self.firstSlot = UInt32(firstSlot)
    self.slotCount = UInt32(slotCount)
    revision = service.revision
    scheduler = service.scheduler
    flags = service.flags
    let isIPv6 = if case .v6 = service.key.address { true } else { false }
    usesIPv6Table = isIPv6 || service.isWide
    memberCount = UInt32(members.count)
    weightStep = max(1, members.reduce(0) { greatestCommonDivisor($0, $1.weight) })
    let heaviest = members.map(\.weight).max() ?? 0
    firstWeight = heaviest == 0 ? 0 : heaviest - (weightStep - 1)
    heaviestAvailable = members.lazy.filter(\.takesConnections).map(\.weight).max() ?? 0
    isInService = true
    persistenceMilliseconds = (service.persistence?.timeoutSeconds ?? 0).boundedMilliseconds
    (maskHigh, maskLow) = service.persistence?.maskWords ?? (.max, .max)
    traits = []
    if members.contains(where: \.isLimited) { traits.insert(.limited) }
    if service.isOnePacket, service.key.mark != nil || service.key.ipProtocol == .udp {
      traits.insert(.onePacket)
    }
    if persistenceMilliseconds != 0 { traits.insert(.persistent) }
    policy = service.policy
    self.firstNode = StandingLevel.nodeCount(members.count) == 0 ? 0 : UInt16(firstNode)
  }

  /// The lowest node that the real server at `position` belongs to, 0 where there is no tree.
  func leaf(of position: Int) -> UInt16 {
    guard firstNode != 0 else { return 0 }
    let leaves = StandingLevel(root: Int(firstNode), memberCount: Int(memberCount)).lowest
    return UInt16(leaves.first + position >> leaves.bits)
  }
}

/// Where a real server stands: its service, and its place in that service's list. Meaningful where
/// that place names the real server back.
struct Placement: BitwiseCopyable {
  var position: UInt32
  var service: UInt16
  /// The node among `StandingNodes` that stands for it; 0 where there is none.
  var leaf: UInt16
}

/// The head of a snapshot's allocation: what workers read, as raw pointers into the same
/// allocation. Nothing here owns anything.
struct SnapshotContent: BitwiseCopyable {
  var generation: UInt64
  /// How many `StandingNodes` its services use.
  var nodeCount: Int
  var ipv4Services: IPv4ServiceTable
  var ipv6Services: IPv6ServiceTable
  var wideServices: WideServiceTable
  /// By `ServiceIndex`, `serviceCount` records.
  var services: UnsafeMutablePointer<ServiceRecord>
  var serviceCount: Int
  /// The services' lists one after the other, and the thresholds of each place.
  var members: UnsafeMutablePointer<Member>
  var thresholds: UnsafeMutablePointer<Thresholds>
  /// The schedulers' tables one after the other.
  var slots: UnsafeMutablePointer<UInt16>
  /// By `RealServerIndex`, `realServerCount` next hops and placements.
  var nextHops: UnsafeMutablePointer<NextHop>
  var placements: UnsafeMutablePointer<Placement>
  var realServerCount: Int
  /// By `EgressIndex`: octets of the largest IP packet that leaves there, `UInt16.max` where
  /// whatever comes in does.
  var egressLimits: UnsafeMutablePointer<UInt16>
  var states: StateTable
  /// By `ConnectionEvent`, `ConnectionEvent.limit` of them.
  var beginnings: UnsafeMutablePointer<Beginning>
}
