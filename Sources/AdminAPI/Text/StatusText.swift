// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Services, real servers and queues for people: a head, and a list below it that may be sorted,
/// filtered and longer than a screen.
public struct StatusText: Sendable {
  /// What the list is sorted by; figures have the largest first.
  public enum Order: String, CaseIterable, Sendable {
    /// As services were added.
    case added
    case name
    /// Active connections.
    case connections
    /// New connections per second.
    case rate
    case packets
    case bytes
  }

  /// Two moments, between which counters become rates.
  public struct Interval: Sendable {
    public var before: StatusReport
    public var seconds: Double

    public init(since before: StatusReport, seconds: Double) {
      self.before = before
      self.seconds = seconds
    }
  }

  public var order = Order.added
  /// Only services and real servers that have it in their names; empty for all.
  public var filter = ""

  public init(order: Order = .added, filter: String = "") {
    self.order = order
    self.filter = filter
  }

  /// Totals of the whole director, and a line per queue; counters are rates where an interval is
  /// given.
  public func head(
    _ status: StatusReport, over interval: Interval? = nil, queueLimit: Int = .max
  ) -> [String] {
    let servers = status.table.services.flatMap(\.realServers)
    let rates = status.rates
    var lines = [
      "services \(status.table.services.count), real servers \(servers.count), of which "
        + "\(servers.count(where: \.takesConnections)) take connections",
      "connections \(status.connections) of \(status.table.connectionCapacity), new "
        + "\(Self.short(rates.connections))/s, packets \(Self.short(rates.inPackets))/s, "
        + "\(Self.short(rates.inBytes &* 8))bit/s",
      "dropped " + Self.drops(status, interval), "",
      Self.row(
        ["QUEUE", "RECEIVED", "FORWARDED", "ANSWERED", "DROPPED", "LOST", "CONNS"],
        [7] + Self.six),
    ]
    lines += status.queues.prefix(queueLimit).map { Self.line($0, interval) }
    if status.queues.count > queueLimit {
      lines.append("and \(status.queues.count - queueLimit) queues more")
    }
    return lines + [""]
  }

  /// The list's title.
  public var title: String {
    Self.row(
      [
        "SERVICE, REAL SERVER", "SCHED", "WEIGHT", "ACTIVE", "INACTIVE", "CONN/S", "PKT/S", "BIT/S",
      ],
      Self.widths)
  }

  /// Services, each with its real servers.
  public func list(_ status: StatusReport) -> [String] {
    sorted(status.table.services, rates: \.rates, active: \.activeConnections, name: Self.name)
      .flatMap { service -> [String] in
        let name = Self.name(service)
        let servers = sorted(
          service.realServers.filter { matches(name) || matches("\($0.realServer.address)") },
          rates: \.rates, active: \.activeConnections, name: { "\($0.realServer.address)" })
        guard matches(name) || !servers.isEmpty else { return [] }
        return [Self.line(service, name)] + servers.map(Self.line)
      }
  }

  private func matches(_ name: String) -> Bool {
    filter.isEmpty || name.lowercased().contains(filter.lowercased())
  }

  private func sorted<Object>(
    _ objects: [Object], rates: (Object) -> Counters, active: (Object) -> UInt64,
    name: (Object) -> String
  ) -> [Object] {
    // Objects of equal figures keep their places: a list that jumps cannot be read.
    func most(_ figure: (Object) -> UInt64) -> [Object] {
      objects.enumerated().sorted { left, right in
        let (first, second) = (figure(left.element), figure(right.element))
        return first == second ? left.offset < right.offset : first > second
      }.map(\.element)
    }
    switch order {
    case .added: return objects
    case .name: return objects.sorted { name($0) < name($1) }
    case .connections: return most(active)
    case .rate: return most { rates($0).connections }
    case .packets: return most { rates($0).inPackets }
    case .bytes: return most { rates($0).inBytes }
    }
  }

  // MARK: Lines

  private static let widths = [34, 7, -10, -8, -8, -7, -7, -7]
  private static let six = Array(repeating: -10, count: 6)

  private static func name(_ service: ServiceReport) -> String {
    TableText(names: .none).listedName(service.service)
  }

  private static func line(_ service: ServiceReport, _ name: String) -> String {
    let servers = service.realServers
    return row(
      [
        name, service.scheduler.rawValue,
        "\(servers.count(where: \.takesConnections)) of \(servers.count)",
        "\(service.activeConnections)",
        "\(servers.reduce(0) { $0 + $1.inactiveConnections })",
      ] + cells(service.rates), widths)
  }

  private static func line(_ server: RealServerReport) -> String {
    row(
      [
        "  \(server.realServer.address)", "", "\(server.effectiveWeight)",
        "\(server.activeConnections)", "\(server.inactiveConnections)",
      ] + cells(server.rates) + [server.hindrance], widths + [0])
  }

  private static func cells(_ rates: Counters) -> [String] {
    [short(rates.connections), short(rates.inPackets), short(rates.inBytes &* 8)]
  }

  private static func line(_ queue: QueueReport, _ interval: Interval?) -> String {
    let before = interval?.before.queues.first { $0.queue == queue.queue }
    func cell(_ figure: (QueueReport) -> UInt64) -> String {
      rate(figure(queue), before.map(figure), interval)
    }
    let worker = ["received", "forwarded", "answered", "dropped"].map { name in
      cell { $0.worker[name] ?? 0 }
    }
    return row(
      ["\(queue.queue)"] + worker + [cell(\.lost), "\(queue.connections)"], [7] + six)
  }

  /// The commonest reasons first.
  private static func drops(_ status: StatusReport, _ interval: Interval?) -> String {
    let before = interval?.before.drops
    let counts = status.drops.map { reason, count in
      (reason, before.map { count &- ($0[reason] ?? 0) } ?? count)
    }.filter { $0.1 > 0 }
    guard !counts.isEmpty else { return "nothing" }
    let commonest = counts.sorted { ($1.1, $0.0) < ($0.1, $1.0) }.prefix(4)
    return commonest.map { reason, count in
      "\(reason) \(rate(count, 0, interval))"
    }.joined(separator: ", ") + (counts.count > 4 ? ", …" : "")
  }

  /// A total, or what was added to it per second.
  private static func rate(_ now: UInt64, _ before: UInt64?, _ interval: Interval?) -> String {
    guard let interval else { return short(now) }
    guard let before, now >= before, interval.seconds > 0 else { return "-" }
    return short(UInt64((Double(now - before) / interval.seconds).rounded())) + "/s"
  }

  /// Cells in columns; a negative width aligns at the right.
  private static func row(_ cells: [String], _ widths: [Int]) -> String {
    let text = zip(cells, widths).map { $1 < 0 ? aligned($0, -$1) : padded($0, $1) }
      .joined(separator: " ")
    return String(text.reversed().drop { $0 == " " }.reversed())
  }

  /// `999`, `12.3k`, `4.57M`: at most five characters up to the tera.
  static func short(_ number: UInt64) -> String {
    var (value, prefix) = (Double(number), "")
    for next in ["k", "M", "G", "T", "P", "E"] where value >= 999.5 {
      (value, prefix) = (value / 1000, next)
    }
    guard !prefix.isEmpty else { return "\(number)" }
    let digits = value < 9.995 ? 100.0 : value < 99.95 ? 10 : 1
    let rounded = (value * digits).rounded() / digits
    return (digits == 1 ? "\(Int(rounded))" : "\(rounded)") + prefix
  }
}

extension ServiceReport {
  fileprivate var activeConnections: UInt64 {
    realServers.reduce(0) { $0 + $1.activeConnections }
  }
}

extension QueueReport {
  /// Frames that came and were not looked at, or were decided and not sent.
  fileprivate var lost: UInt64 {
    socket.rxDropped + socket.rxRingFull + (worker["transmitLost"] ?? 0)
  }
}
