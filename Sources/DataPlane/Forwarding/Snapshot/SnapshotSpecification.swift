// SPDX-License-Identifier: Apache-2.0

/// All that workers are told: what the control plane fills in and `Snapshot` compiles.
public struct SnapshotSpecification: Sendable {
  /// What a record of a real server means that is no longer in its service.
  public enum Retirement: Sendable {
    /// Removed, its index kept: connections find it and are treated as orphans.
    case removed
    /// Its connections are to be swept; when all workers have, the index is free.
    case retired
    /// As removed, but its connections are forgotten whatever the service's policy says.
    case purged
    /// As removed, but its connections go to others whatever the service's policy says.
    case rehashed
  }

  public struct RealServer: Sendable {
    public var index: RealServerIndex
    /// 0 takes no new connections (quiescent), as in LVS.
    public var weight: UInt32
    /// The last weight above zero, by which `mh` gives out its slots.
    public var lastWeight: UInt32
    /// What `mh` hashes.
    public var address: IPAddress
    /// So many connections overload it (`-x`); 0 for no limit.
    public var upperThreshold: UInt32
    /// Below so many it is overloaded no longer (`-y`); 0 stands for three quarters.
    public var lowerThreshold: UInt32
    /// The last known address; live connections use it even while `isResolved` is false.
    public var macAddress: MACAddress?
    /// Whether the neighbour is reachable now: new connections need it.
    public var isResolved: Bool
    public var egress: EgressIndex

    public init(
      index: RealServerIndex, weight: UInt32, lastWeight: UInt32? = nil,
      address: IPAddress = .v4(IPv4Address(rawValue: 0)), upperThreshold: UInt32 = 0,
      lowerThreshold: UInt32 = 0, macAddress: MACAddress?, isResolved: Bool,
      egress: EgressIndex = 0
    ) {
      self.index = index
      self.weight = weight
      self.lastWeight = lastWeight ?? weight
      self.address = address
      self.upperThreshold = upperThreshold
      self.lowerThreshold = lowerThreshold
      self.macAddress = macAddress
      self.isResolved = isResolved
      self.egress = egress
    }
  }

  /// Ports of a mark's service.
  public struct MarkedPorts: Sendable {
    public var ports: VirtualPorts
    /// The number of (VIP, protocol) within the service: connections name it, so one that was
    /// given out once means the same ever after.
    public var vip: UInt16

    public init(ports: VirtualPorts, vip: UInt16) {
      self.ports = ports
      self.vip = vip
    }
  }

  public struct Service: Sendable {
    public var index: ServiceIndex
    public var key: VirtualServiceKey
    /// What a mark's service takes; those of different marks do not overlap.
    public var marked: [MarkedPorts]
    public var scheduler: Scheduler
    public var flags: SchedulerFlags
    /// nil where each connection is scheduled by itself.
    public var persistence: Persistence?
    /// One-packet scheduling (`-o`): datagrams are scheduled one by one. TCP has none.
    public var isOnePacket: Bool
    public var policy: ServicePolicy
    /// Incremented by one whenever a real server is added, edited or removed or the scheduler
    /// changes, so that workers reset their cursors as LVS does.
    public var revision: UInt32
    /// In LVS order: the one added last comes first (`list_add_rcu` in ip_vs_ctl.c).
    public var realServers: [RealServer]

    /// - Parameter policy: nil for the protocol's own.
    public init(
      index: ServiceIndex, key: VirtualServiceKey, marked: [MarkedPorts] = [],
      scheduler: Scheduler,
      flags: SchedulerFlags = [], persistence: Persistence? = nil, isOnePacket: Bool = false,
      policy: ServicePolicy? = nil, revision: UInt32,
      realServers: [RealServer]
    ) {
      self.index = index
      self.key = key
      self.marked = marked
      self.scheduler = scheduler
      self.flags = flags
      self.persistence = persistence
      self.isOnePacket = isOnePacket
      self.policy = policy ?? ServicePolicy(for: key.ipProtocol)
      self.revision = revision
      self.realServers = realServers
    }
  }

  public var services: [Service]
  /// Indices that belonged to real servers which are gone.
  public var retirements: [RealServerIndex: Retirement]
  /// Source MAC address per egress interface; at least one.
  public var egressMACAddresses: [MACAddress]
  /// MTU per egress interface; empty where they are alike.
  public var egressMTUs: [Int]
  public var timeouts: ConnectionTimeouts

  public init(
    services: [Service] = [], retirements: [RealServerIndex: Retirement] = [:],
    egressMACAddresses: [MACAddress], egressMTUs: [Int] = [], timeouts: ConnectionTimeouts = .lvs
  ) {
    self.services = services
    self.retirements = retirements
    self.egressMACAddresses = egressMACAddresses
    self.egressMTUs = egressMTUs
    self.timeouts = timeouts
  }

  /// By `EgressIndex`: octets of the largest IP packet that leaves there. An interface with the
  /// widest MTU sends whatever comes in, and has no limit: `UInt16.max`.
  var egressLimits: [UInt16] {
    let widest = egressMTUs.max() ?? 0
    return egressMACAddresses.indices.map { egress in
      let mtu = egress < egressMTUs.count ? egressMTUs[egress] : widest
      return mtu < widest ? UInt16(clamping: mtu) : .max
    }
  }
}
