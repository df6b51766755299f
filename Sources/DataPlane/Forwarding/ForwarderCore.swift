// SPDX-License-Identifier: Apache-2.0

/// An IPv4 packet between the passes, 32 octets.
struct IPv4Packet: BitwiseCopyable {
  var key: UInt64
  var line: UnsafeMutableRawPointer
  var frame: UnsafeMutableRawPointer
  var traits: PacketTraits

  @inline(__always) var facts: PacketFacts {
    PacketFacts(service: UInt16(truncatingIfNeeded: key), traits)
  }
}

/// An IPv6 packet between the passes, 48 octets.
struct IPv6Packet: BitwiseCopyable {
  var key: IPv6ConnectionKey
  var line: UnsafeMutableRawPointer
  var frame: UnsafeMutableRawPointer
  var traits: PacketTraits

  @inline(__always) var facts: PacketFacts {
    PacketFacts(service: UInt16(truncatingIfNeeded: key.transport), traits)
  }
}

/// What both families keep of a packet besides its key.
struct PacketTraits: BitwiseCopyable {
  var ipBytes: UInt16
  var event: ConnectionEvent
  /// Place in the batch.
  var index: UInt8

  @inline(__always) init(_ transport: TransportFields, index: Int) {
    ipBytes = transport.ipBytes
    event = transport.event
    self.index = UInt8(truncatingIfNeeded: index)
  }
}

/// Where the next packet of each family goes between the passes.
struct PacketPlaces: BitwiseCopyable {
  var ipv4: UnsafeMutablePointer<IPv4Packet>
  var ipv6: UnsafeMutablePointer<IPv6Packet>
}

/// What the passes after the first decide by, of either family.
struct PacketFacts: BitwiseCopyable {
  var service: UInt16
  var ipBytes: UInt16
  var event: ConnectionEvent
  /// Place in the batch.
  var index: UInt8

  @inline(__always) init(service: UInt16, _ traits: PacketTraits) {
    self.service = service
    ipBytes = traits.ipBytes
    event = traits.event
    index = traits.index
  }
}

/// One worker's connections of both families, and its notes on fragments.
struct ConnectionTables: BitwiseCopyable {
  var ipv4: IPv4ConnectionTable
  var ipv6: IPv6ConnectionTable
  var fragments: FragmentTable
}

/// A worker's forwarding state: raw pointers into memory that its `Forwarder` owns.
struct ForwarderCore: BitwiseCopyable {
  static let batchLimit = 64

  var content: UnsafePointer<SnapshotContent>
  var hashKey: HashKey
  var ipv4: IPv4ConnectionTable
  var ipv6: IPv6ConnectionTable
  /// By `RealServerIndex`, 65 536 of them: an index in a record needs no check.
  var realServers: UnsafeMutablePointer<RealServerCounters>
  /// Connections by real server, of this worker and the others.
  var loads: ConnectionLoads
  /// By `ServiceIndex`, 65 536 of them.
  var cursors: UnsafeMutablePointer<SchedulerCursor>
  var counters: CounterBlock
  /// Scratch of one batch, `batchLimit` entries each.
  var ipv4Packets: UnsafeMutablePointer<IPv4Packet>
  var ipv6Packets: UnsafeMutablePointer<IPv6Packet>
  /// Places in the batch of packets that name no ports.
  var portless: UnsafeMutablePointer<UInt8>
  var portlessCount = 0
  /// Places in the batch of packets that no service of one port takes.
  var unserved: UnsafeMutablePointer<UInt8>
  var unservedCount = 0
  /// The real server of the last packet that went out of line.
  var lastRealServer: UInt16 = 0
  var fragments: FragmentTable
  /// The other workers' tables, as many as `loads` has peers: read, never written.
  var peerTables: UnsafeMutablePointer<ConnectionTables>
  /// Shared with the other workers.
  var localities: LocalityTable
  var templates: TemplateTable
  /// Whether this is the worker that frees them.
  var sweepsTemplates: Bool
  var answers: AnswerAllowance
  var sweep: SweepPosition
}
