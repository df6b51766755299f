// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// The table as lines of comma-separated values, without Foundation's coders: 10 000 services are
/// printed in a moment.
///
/// A line begins with what it is: `capacity` once, then each `service`, followed by each
/// `real-server` of it. A field without value is empty; flags are 0 and 1.
extension TableReport {
  public var rows: [UInt8] {
    let capacity: Octets = "capacity,\(UInt64(connectionCapacity))\n"
    var octets = capacity.octets
    octets.reserveCapacity(256 * services.count)
    for service in services {
      octets += service.row.octets
      for realServer in service.realServers { octets += realServer.row.octets }
    }
    return octets
  }

  /// nil where a line is none of `rows`.
  public init?(rows octets: [UInt8]) {
    var reader = RowReader(octets: octets)
    guard reader.text() == "capacity", let capacity: Int = reader.number() else { return nil }
    self.init(connectionCapacity: capacity, services: [])
    while !reader.isAtEnd {
      switch reader.text() {
      case "service":
        guard let service = ServiceReport(from: &reader) else { return nil }
        services.append(service)
      case "real-server":
        guard let realServer = RealServerReport(from: &reader), !services.isEmpty else {
          return nil
        }
        services[services.count - 1].realServers.append(realServer)
      default: return nil
      }
    }
  }
}

extension ServiceReport {
  fileprivate var row: Octets {
    let timeout: Octets = persistence.map { "\($0.timeoutSeconds)" } ?? ""
    let mask: Octets = persistence?.mask.map { "\($0)" } ?? ""
    return """
      service,\(service.pathText, width: 0),\(scheduler.rawValue),\(flags.rawValue),\
      \(timeout, width: 0),\(mask, width: 0),\(isOnePacket),\(policy.removal.rawValue),\
      \(policy.stray.rawValue),\(policy.timeToLive.rawValue),\
      \(policy.quiescentClients.rawValue),\(Octets(flag: hasQuorum), width: 0),\
      \(statistics.fields, width: 0),\(rates.fields, width: 0)

      """
  }

  fileprivate init?(from reader: inout RowReader) {
    guard let service = reader.service(), let scheduler: Scheduler = reader.word(),
      let flags: UInt8 = reader.number(),
      let timeout = reader.ifPresent({ $0.number() as UInt32? }),
      let mask = reader.ifPresent({ $0.address() }), let isOnePacket = reader.flag()
    else { return nil }
    var policy = ServicePolicy(for: service.ipProtocol)
    guard let removal: ServicePolicy.Removal = reader.word(),
      let stray: ServicePolicy.Stray = reader.word(),
      let timeToLive: ServicePolicy.TimeToLive = reader.word(),
      let quiescentClients: ServicePolicy.QuiescentClients = reader.word(),
      let hasQuorum = reader.ifPresent({ $0.flag() }), let statistics = Counters(from: &reader),
      let rates = Counters(from: &reader)
    else { return nil }
    (policy.removal, policy.stray) = (removal, stray)
    (policy.timeToLive, policy.quiescentClients) = (timeToLive, quiescentClients)
    self.init(
      service: service, scheduler: scheduler, flags: SchedulerFlags(rawValue: flags),
      persistence: timeout.map { Persistence(timeoutSeconds: $0, mask: mask) },
      isOnePacket: isOnePacket, policy: policy, hasQuorum: hasQuorum, statistics: statistics,
      rates: rates)
  }
}

extension RealServerReport {
  fileprivate var row: Octets {
    """
    real-server,\(realServer.address),\(realServer.port),\(weight),\(thresholds.upper),\
    \(thresholds.lower),\(activeConnections),\(inactiveConnections),\(persistentConnections),\
    \(isResolved),\(macAddress?.description ?? ""),\(Octets(flag: health?.isUp), width: 0),\
    \(health?.isMember ?? false),\(health?.effectiveWeight ?? 0),\
    \(health?.isSorryServer ?? false),\(drain?.rawValue ?? ""),\
    \(statistics.fields, width: 0),\(rates.fields, width: 0)

    """
  }

  fileprivate init?(from reader: inout RowReader) {
    guard let address = reader.address(), let port = reader.port(),
      let weight: UInt32 = reader.number(), let upper: UInt32 = reader.number(),
      let lower: UInt32 = reader.number(), let active: UInt64 = reader.number(),
      let inactive: UInt64 = reader.number(), let persistent: UInt64 = reader.number(),
      let isResolved = reader.flag(), let macAddress = reader.ifPresent({ MACAddress($0.text()) }),
      let isUp = reader.ifPresent({ $0.flag() }), let isMember = reader.flag(),
      let effectiveWeight: UInt32 = reader.number(), let isSorryServer = reader.flag(),
      let drain = reader.ifPresent({ $0.word() as DrainReport.Phase? }),
      let statistics = Counters(from: &reader), let rates = Counters(from: &reader)
    else { return nil }
    self.init(
      realServer: RealServerAddress(address: address, port: port), weight: weight,
      thresholds: ConnectionThresholds(upper: upper, lower: lower), activeConnections: active,
      inactiveConnections: inactive, persistentConnections: persistent, isResolved: isResolved,
      macAddress: macAddress,
      health: isUp.map {
        HealthReport(
          isUp: $0, isMember: isMember, effectiveWeight: effectiveWeight,
          isSorryServer: isSorryServer)
      }, drain: drain, statistics: statistics, rates: rates)
  }
}

extension Counters {
  fileprivate var fields: Octets { "\(connections),\(inPackets),\(inBytes)" }

  fileprivate init?(from reader: inout RowReader) {
    guard let connections: UInt64 = reader.number(), let inPackets: UInt64 = reader.number(),
      let inBytes: UInt64 = reader.number()
    else { return nil }
    self.init(connections: connections, inPackets: inPackets, inBytes: inBytes)
  }
}

extension Octets {
  /// Empty where there is none.
  fileprivate init(flag: Bool?) {
    self = flag.map { "\($0)" } ?? ""
  }
}
