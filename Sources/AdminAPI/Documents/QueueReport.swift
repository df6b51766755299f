// SPDX-License-Identifier: Apache-2.0

/// Counters of one receive queue since the director started.
public struct QueueReport: Hashable, Sendable, Codable {
  public var queue: Int
  /// The worker's own, by their names in `QueueCounter`.
  public var worker: [String: UInt64]
  /// The AF_XDP socket's: the six of `XDP_STATISTICS` (linux/if_xdp.h).
  public var socket: Socket
  /// The same two of each interface.
  public var interfaces: [Interface]
  /// What was forwarded to all real servers together.
  public var statistics: Counters
  public var rates: Counters
  /// Frames that were not forwarded, by their reasons' names in `DropReason`.
  public var drops: [String: UInt64]
  /// Octets of the same frames, Ethernet headers included.
  public var dropBytes: [String: UInt64]
  /// ICMP errors and fragments that were forwarded, by their kinds' names in `SideTraffic`.
  public var sideTraffic: [String: UInt64]
  public var ipv4Connections: UInt64
  public var ipv6Connections: UInt64
  /// Records that there is room for.
  public var ipv4Entries: Int
  public var ipv6Entries: Int
  /// Frames forwarded by hash, without a record, because the table was full there.
  public var unrecorded: UInt64
  /// Half-open connections that yielded to new ones, by how long their clients had been silent.
  public var evictions: [Eviction]

  /// Those silent for less than `belowSeconds`, and not less than the class before.
  public struct Eviction: Hashable, Sendable, Codable {
    public var belowSeconds: Int
    public var connections: UInt64

    public init(belowSeconds: Int, connections: UInt64) {
      self.belowSeconds = belowSeconds
      self.connections = connections
    }
  }

  /// What a queue counts of one interface.
  public struct Interface: Hashable, Sendable, Codable {
    public var name: String
    public var worker: [String: UInt64]
    public var socket: Socket

    public init(name: String, worker: [String: UInt64], socket: Socket) {
      self.name = name
      self.worker = worker
      self.socket = socket
    }
  }

  public struct Socket: Hashable, Sendable, Codable {
    public var rxDropped: UInt64
    public var rxInvalidDescriptors: UInt64
    public var txInvalidDescriptors: UInt64
    public var rxRingFull: UInt64
    public var fillRingEmpty: UInt64
    public var txRingEmpty: UInt64

    public init(
      rxDropped: UInt64, rxInvalidDescriptors: UInt64, txInvalidDescriptors: UInt64,
      rxRingFull: UInt64, fillRingEmpty: UInt64, txRingEmpty: UInt64
    ) {
      self.rxDropped = rxDropped
      self.rxInvalidDescriptors = rxInvalidDescriptors
      self.txInvalidDescriptors = txInvalidDescriptors
      self.rxRingFull = rxRingFull
      self.fillRingEmpty = fillRingEmpty
      self.txRingEmpty = txRingEmpty
    }
  }

  public init(
    queue: Int, worker: [String: UInt64], socket: Socket, interfaces: [Interface] = [],
    statistics: Counters = Counters(), rates: Counters = Counters(), drops: [String: UInt64],
    dropBytes: [String: UInt64] = [:], sideTraffic: [String: UInt64], ipv4Connections: UInt64,
    ipv6Connections: UInt64, ipv4Entries: Int, ipv6Entries: Int, unrecorded: UInt64,
    evictions: [Eviction]
  ) {
    self.queue = queue
    self.worker = worker
    self.socket = socket
    self.interfaces = interfaces
    self.statistics = statistics
    self.rates = rates
    self.drops = drops
    self.dropBytes = dropBytes
    self.sideTraffic = sideTraffic
    self.ipv4Connections = ipv4Connections
    self.ipv6Connections = ipv6Connections
    self.ipv4Entries = ipv4Entries
    self.ipv6Entries = ipv6Entries
    self.unrecorded = unrecorded
    self.evictions = evictions
  }
}
