// SPDX-License-Identifier: Apache-2.0

/// What is counted where a worker meets one interface.
public struct SocketStatistics: Sendable {
  public var interface: String
  public var worker: [QueueCounter: UInt64]
  public var socket: XDPStatistics

  public init(interface: String, worker: [QueueCounter: UInt64], socket: XDPStatistics) {
    self.interface = interface
    self.worker = worker
    self.socket = socket
  }
}

/// Counters of one receive queue, its worker and its sockets.
public struct QueueStatistics: Sendable {
  public var queue: Int
  /// By `EgressIndex`.
  public var sockets: [SocketStatistics]
  public var drops: [DropReason: UInt64]
  /// Octets of the same frames: `ForwarderView.dropBytes`.
  public var dropBytes: [DropReason: UInt64] = [:]
  public var sideTraffic: [SideTraffic: UInt64]
  public var ipv4Connections: UInt64
  public var ipv6Connections: UInt64
  /// Records that there is room for.
  public var ipv4Entries = 0
  public var ipv6Entries = 0
  /// Frames forwarded by hash, without a record, because the table was full there.
  public var unrecorded: UInt64 = 0
  public var evictions = EvictionAges()
  public var batchSizes = DoublingHistogram()
  /// In nanoseconds, by `QueueCounters.turnTimeUnitNanoseconds`.
  public var turnTimes = DoublingHistogram()
  /// To all real servers together; its totals never go back.
  public var forwarded = RealServerStatistics()

  /// Of all interfaces together.
  public var worker: [QueueCounter: UInt64] {
    sockets.reduce(into: [:]) { $0.merge($1.worker, uniquingKeysWith: &+) }
  }

  /// The same.
  public var socket: XDPStatistics {
    sockets.reduce(into: XDPStatistics()) { $0 += $1.socket }
  }
}

extension QueueStatistics {
  /// What a forwarder counts of it.
  public init(queue: Int, _ view: ForwarderView) {
    self.init(
      queue: queue, sockets: [],
      drops: Dictionary(uniqueKeysWithValues: DropReason.allCases.map { ($0, view.drops($0)) }),
      dropBytes: Dictionary(
        uniqueKeysWithValues: DropReason.allCases.map { ($0, view.dropBytes($0)) }),
      sideTraffic: Dictionary(
        uniqueKeysWithValues: SideTraffic.allCases.map { ($0, view.count(of: $0)) }),
      ipv4Connections: view.ipv4Connections, ipv6Connections: view.ipv6Connections,
      ipv4Entries: view.ipv4Entries, ipv6Entries: view.ipv6Entries, unrecorded: view.unrecorded,
      evictions: view.evictions, forwarded: view.forwarded)
  }
}
