// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// One case of the loop room: which packets, against which site, in which portions.
struct Workload {
  enum Kind: String {
    /// Packets of established connections.
    case hits
    /// SYNs of connections never seen before, into a table that is empty at first.
    case new
    /// SYNs of connections never seen before, into a table full of live ones.
    case flood
    /// ACKs that belong to no connection: each reads two lines of the table and is dropped.
    case stray
    /// Packets that parsing turns away.
    case garbage
  }

  var name: String
  var kind = Kind.hits
  var family = Family.ipv4
  /// Connections that are open (hits, stray), that open per round (new), or room for them (flood).
  var flows: Int
  var services = 16
  /// Of each service.
  var realServers = 2
  /// Packets the kernel offers per turn.
  var batch = 64
  var scheduler = Scheduler.rr
  /// A client, of which each has four connections to each service then, keeps its real server.
  var isPersistent = false

  /// The twin knows rr and no persistence; the limit is that of packets whose record is there, or
  /// that need none.
  var subjects: [SubjectName] {
    guard scheduler == .rr, !isPersistent else { return [.martinet] }
    return [.martinet, .twin] + (kind == .hits || kind == .garbage ? [.limit] : [])
  }

  /// Connections of one client to all services.
  var connectionsPerClient: UInt32 { isPersistent ? 4 * UInt32(services) : 60_000 }

  /// Entries of the family's connection table. Four per connection, as recommended; a full table
  /// has one.
  var entries: Int {
    let wanted = kind == .flood ? flows : flows * 4
    var entries = 8
    while entries < wanted { entries *= 2 }
    return entries
  }

  /// The same case at a size that shows that it works and measures nothing.
  var smoke: Workload {
    var small = self
    small.flows = min(flows, 1000)
    return small
  }

  static let all: [Workload] =
    sizes(.ipv4, [("1k", 1000), ("100k", 100_000), ("1m", 1_000_000), ("8m", 8_000_000)])
    + sizes(.ipv6, [("1k", 1000), ("100k", 100_000), ("1m", 1_000_000), ("8m", 8_000_000)])
    + sizes(.vlan, [("1k", 1000), ("1m", 1_000_000)])
    + [1, 16].flatMap { batch in
      [("1k", 1000), ("1m", 1_000_000)].map { size, flows in
        Workload(name: "batch-\(batch)-\(size)", flows: flows, batch: batch)
      }
    }
    + [1, 256, 4096, 16000].map {
      Workload(name: "services-\($0)", flows: 100_000, services: $0)
    }
    + [2, 100, 1000, 10000].map {
      Workload(name: "real-servers-\($0)", flows: 100_000, services: 1, realServers: $0)
    }
    + [
      Workload(name: "new-ipv4", kind: .new, flows: 1_000_000),
      Workload(name: "new-ipv6", kind: .new, family: .ipv6, flows: 1_000_000),
      Workload(name: "new-wlc", kind: .new, flows: 1_000_000, scheduler: .wlc),
      Workload(name: "new-persistent", kind: .new, flows: 1_000_000, isPersistent: true),
      Workload(name: "flood-ipv4", kind: .flood, flows: 4_000_000),
      Workload(name: "flood-ipv6", kind: .flood, family: .ipv6, flows: 4_000_000),
      Workload(name: "stray-1m", kind: .stray, flows: 1_000_000),
      Workload(name: "garbage", kind: .garbage, flows: 1000),
    ]

  private static func sizes(_ family: Family, _ sizes: [(String, Int)]) -> [Workload] {
    sizes.map { Workload(name: "hits-\(family)-\($0)", family: family, flows: $1) }
  }
}

/// What the packets of a case look like.
enum Family: String {
  case ipv4
  /// IPv4 behind one tag.
  case vlan
  case ipv6
}
