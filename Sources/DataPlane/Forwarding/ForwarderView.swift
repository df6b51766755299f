// SPDX-License-Identifier: Apache-2.0

/// One real server's figures, of one worker or summed.
public struct RealServerStatistics: Sendable, Equatable {
  public var connections: UInt64 = 0
  public var packets: UInt64 = 0
  /// Octets from the IP header on.
  public var bytes: UInt64 = 0
  public var active: UInt32 = 0
  public var inactive: UInt32 = 0

  public init() {}

  public static func += (left: inout Self, right: Self) {
    left.connections &+= right.connections
    left.packets &+= right.packets
    left.bytes &+= right.bytes
    left.active &+= right.active
    left.inactive &+= right.inactive
  }
}

/// One connection as it was when it was read.
public struct ConnectionDescription: Sendable, Equatable {
  public var client: IPAddress
  public var clientPort: Port
  public var service: ServiceIndex
  /// What the client addressed, where the service has many ports: the port, and the number of the
  /// VIP within the service.
  public var destinationPort: Port
  public var vip: UInt16
  public var realServer: RealServerIndex
  public var state: ConnectionState
  public var remainingMilliseconds: Int32
  /// So old it is at least: `BirthStamp`.
  public var leastAgeMilliseconds: UInt32
}

/// What any thread may read of a `Forwarder` while it lives and works: relaxed loads that never
/// hold it up. Figures of one moment may be a few packets apart.
public struct ForwarderView: @unchecked Sendable {
  let tables: ConnectionTables
  private var ipv4: IPv4ConnectionTable { tables.ipv4 }
  private var ipv6: IPv6ConnectionTable { tables.ipv6 }
  private let realServers: UnsafeMutablePointer<RealServerCounters>
  private let counters: CounterBlock
  /// `ConnectionLoads.own`.
  let loads: UnsafeMutablePointer<UInt64>

  init(_ core: ForwarderCore) {
    tables = ConnectionTables(ipv4: core.ipv4, ipv6: core.ipv6, fragments: core.fragments)
    realServers = core.realServers
    counters = core.counters
    loads = core.loads.own
  }

  public func drops(_ reason: DropReason) -> UInt64 { counters.drops(reason) }
  /// Octets of the frames that were dropped, Ethernet headers included: a packet that is malformed
  /// has no other length. A descriptor outside the UMEM counts none.
  public func dropBytes(_ reason: DropReason) -> UInt64 { counters.dropBytes(reason) }
  public func count(of kind: SideTraffic) -> UInt64 { counters.load(kind) }
  /// Frames forwarded by hash, without a record, because the table was full there.
  public var unrecorded: UInt64 { counters.load(.unrecorded) }
  /// Connections moved by a SYN or a datagram to another real server.
  public var rescheduled: UInt64 { counters.load(.rescheduled) }
  /// Half-open connections that yielded to new ones where the table was full.
  public var evictions: EvictionAges { counters.evictions }
  public var expired: UInt64 { counters.load(.expired) }
  public var ipv4Connections: UInt64 { counters.load(.ipv4Connections) }
  public var ipv6Connections: UInt64 { counters.load(.ipv6Connections) }
  public var ipv4Entries: Int { ipv4.lineCount * IPv4ConnectionTable.entriesPerLine }
  public var ipv6Entries: Int { ipv6.lineCount * IPv6ConnectionTable.entriesPerLine }
  public var adoptedGeneration: UInt64 { counters.load(.adoptedGeneration) }
  /// Every record was looked at since this generation was adopted.
  public var sweptGeneration: UInt64 { counters.load(.sweptGeneration) }
  /// Goes up many times a second, in idle times too, as long as somebody has the forwarder sweep.
  public var sweepSteps: UInt64 { counters.load(.sweepSteps) }

  public func statistics(of index: RealServerIndex) -> RealServerStatistics {
    let place = Int(index.rawValue)
    let counters = UnsafeMutableRawPointer(realServers + place)
      .assumingMemoryBound(to: UInt64.self)
    let word = sharedLoad(loads + place)
    var statistics = RealServerStatistics()
    statistics.packets = sharedLoad(counters)
    statistics.bytes = sharedLoad(counters + 1)
    statistics.connections = sharedLoad(counters + 2)
    statistics.active = UInt32(truncatingIfNeeded: ConnectionLoads.active(word))
    statistics.inactive = UInt32(truncatingIfNeeded: ConnectionLoads.inactive(word))
    return statistics
  }

  /// What the worker forwarded to all real servers together, of the past too: its totals never go
  /// back. Reads 32 octets for each real server there ever was at a time.
  public var forwarded: RealServerStatistics {
    (0..<counters.load(.realServerPlaces)).reduce(into: RealServerStatistics()) {
      $0 += statistics(of: RealServerIndex(rawValue: UInt16(truncatingIfNeeded: $1)))
    }
  }

  /// Places for connections: IPv4 before IPv6.
  public var records: Int { ipv4Entries + ipv6Entries }

  /// Hands the live connections of the records from `first` on to `take`, until it says that this
  /// was enough or the record before `end` was looked at. Returns where to go on.
  ///
  /// A connection stays in its record, so that one which lives through the whole listing is listed
  /// once; one that comes or goes meanwhile may be missed.
  public func forEachConnection(
    from first: Int, to end: Int, now: Tick, _ take: (ConnectionDescription) -> Bool
  ) -> Int {
    var record = min(max(0, first), records)
    let end = min(end, records)
    while record < end {
      let connection = record < ipv4Entries ? ipv4(record, now) : ipv6(record - ipv4Entries, now)
      record += 1
      if let connection, !take(connection) { break }
    }
    return record
  }

  private func ipv4(_ record: Int, _ now: Tick) -> ConnectionDescription? {
    let (line, slot) = record.quotientAndRemainder(dividingBy: IPv4ConnectionTable.entriesPerLine)
    let keys = ipv4.line(at: line).assumingMemoryBound(to: UInt64.self)
    let position = IPv4ConnectionTable.Position(key: keys + slot)
    let key = sharedLoad(position.key)
    let meta = ConnectionMeta(rawValue: sharedLoad(position.meta))
    guard key != 0, sharedLoad(position.key) == key else { return nil }
    return describe(
      .v4(IPv4Address(rawValue: UInt32(truncatingIfNeeded: key >> 32))),
      transport: key & 0xffff_ffff, meta, now)
  }

  private func ipv6(_ record: Int, _ now: Tick) -> ConnectionDescription? {
    let (line, slot) = record.quotientAndRemainder(dividingBy: IPv6ConnectionTable.entriesPerLine)
    let words = ipv6.line(at: line).assumingMemoryBound(to: UInt64.self)
    let position = IPv6ConnectionTable.Position(words: words + slot * 4)
    let transport = sharedLoad(position.transport)
    let address = IPAddress(
      high: sharedLoad(position.words), low: sharedLoad(position.words + 1))
    let meta = ConnectionMeta(rawValue: sharedLoad(position.meta))
    guard transport != 0, sharedLoad(position.transport) == transport else { return nil }
    return describe(address, transport: transport, meta, now)
  }

  /// `transport`: as `IPv6ConnectionKey` has it. nil where it is over.
  private func describe(
    _ client: IPAddress, transport: UInt64, _ meta: ConnectionMeta, _ now: Tick
  ) -> ConnectionDescription? {
    let remaining = meta.expiry.milliseconds(since: now)
    guard remaining > 0, let state = ConnectionState(rawValue: meta.state) else { return nil }
    return ConnectionDescription(
      client: client, clientPort: Port(UInt16(truncatingIfNeeded: transport >> 16)),
      service: ServiceIndex(rawValue: UInt16(truncatingIfNeeded: transport)),
      destinationPort: Port(UInt16(truncatingIfNeeded: transport >> 32)),
      vip: UInt16(truncatingIfNeeded: transport >> 48),
      realServer: RealServerIndex(rawValue: meta.realServer), state: state,
      remainingMilliseconds: remaining, leastAgeMilliseconds: meta.birth.leastAge(at: now))
  }
}
