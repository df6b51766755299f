// SPDX-License-Identifier: Apache-2.0

/// All that `martinet status` and `martinet top` show, of one moment.
public struct StatusReport: Hashable, Sendable, Codable {
  public var table: TableReport
  public var queues: [QueueReport]

  public init(table: TableReport, queues: [QueueReport]) {
    self.table = table
    self.queues = queues
  }

  /// Records in the connection tables.
  var connections: UInt64 { queues.reduce(0) { $0 + $1.connections } }

  /// All services together, per second.
  var rates: Counters {
    table.services.reduce(into: Counters()) { sum, service in
      sum.connections += service.rates.connections
      sum.inPackets += service.rates.inPackets
      sum.inBytes += service.rates.inBytes
    }
  }

  /// By reason, of all queues together.
  var drops: [String: UInt64] {
    queues.reduce(into: [:]) { sum, queue in
      sum.merge(queue.drops) { $0 + $1 }
    }
  }
}

extension QueueReport {
  var connections: UInt64 { ipv4Connections + ipv6Connections }
}

extension RealServerReport {
  /// Whether it gets new connections.
  var takesConnections: Bool { isMember && isResolved && effectiveWeight > 0 }

  /// Why it gets no new connections; empty where it does.
  var hindrance: String {
    if let drain { return drain == .draining ? "draining" : "drained" }
    if !isResolved { return "unresolved" }
    if let health, !health.isUp { return "down" }
    return effectiveWeight == 0 ? "quiesced" : ""
  }
}
