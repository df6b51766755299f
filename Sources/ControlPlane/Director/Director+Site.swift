// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Logging

extension Director {
  /// Makes the desired state that of a configuration, or throws all that is in the way and leaves
  /// it as it was. What is the same in both is not touched, its connections go on.
  ///
  /// Deletions come last: they cannot fail, so nothing of them is ever to be undone.
  ///
  /// Of a director without services it logs what it got as one line, not a line for each.
  public func apply(_ site: SiteConfiguration) throws(DirectorRefusals) {
    let isFirst = services.isEmpty
    let level: Logger.Level = isFirst ? .debug : .info
    let before = (
      services, serviceIndices, realServerIndices, followers, neighborHistories, unanswered,
      timeoutConfiguration, markGroups, edits, changes
    )
    var errors: [DirectorError] = []
    var known: Set<DirectorError> = []
    func attempt(_ change: () throws(DirectorError) -> Void) {
      do throws(DirectorError) {
        try change()
      } catch {
        if known.insert(error).inserted { errors.append(error) }
      }
    }
    if site.timeouts != timeouts {
      attempt { () throws(DirectorError) in try setTimeouts(site.timeouts) }
    }
    attempt { () throws(DirectorError) in
      try setMarks(
        Dictionary(site.marks.map { ($0.mark, $0.match) }, uniquingKeysWith: { $0 + $1 }),
        level)
    }
    for table in site.tables {
      attempt { () throws(DirectorError) in
        try put(table.service, level)
        try put(table.health, table.service.key, level)
      }
      for realServer in table.realServers {
        attempt { () throws(DirectorError) in try put(realServer, table.service.key, level) }
      }
    }
    guard errors.isEmpty else {
      for address in followers.keys where before.3[address] == nil { neighbors.unfollow(address) }
      (
        services, serviceIndices, realServerIndices, followers, neighborHistories, unanswered,
        timeoutConfiguration, markGroups, edits, changes
      ) = before
      throw DirectorRefusals(errors: errors)
    }
    deleteAll(except: site.tables)
    guard isFirst, !site.tables.isEmpty else { return }
    let realServers = site.tables.reduce(0) { $0 + $1.realServers.count }
    logger.info(
      "services loaded",
      metadata: ["services": "\(site.tables.count)", "real-servers": "\(realServers)"])
  }

  /// The desired state as a configuration has it, in the order of addition.
  func site() -> (tables: [SiteConfiguration.ServiceTable], timeouts: TimeoutConfiguration) {
    let tables = services.values.sorted { $0.sequence < $1.sequence }.map(table)
    return (tables, timeoutConfiguration)
  }

  func table(of service: Service) -> SiteConfiguration.ServiceTable {
    SiteConfiguration.ServiceTable(
      service: service.configuration, health: service.health,
      realServers: service.realServers.values.filter { !$0.isSorryServer }.sorted {
        $0.sequence < $1.sequence
      }
      .map(\.configuration))
  }

  /// Live connections of the real servers that `changes` remove.
  func connections(of changes: [SiteChange]) -> UInt64 {
    let removed = Set(changes.filter { $0.action == .remove }.map(\.object))
    guard !removed.isEmpty else { return 0 }
    return serviceStatuses().reduce(0) { sum, service in
      let key = service.configuration.key
      return sum
        + service.realServers.filter {
          removed.contains(.realServer($0.configuration.address, key))
        }.reduce(0) { $0 + $1.activeConnections + $1.inactiveConnections }
    }
  }

  private func put(
    _ configuration: ServiceConfiguration, _ level: Logger.Level
  ) throws(DirectorError) {
    switch services[configuration.key]?.configuration {
    case nil: try addService(configuration, level)
    case configuration: break
    default: try editService(configuration)
    }
  }

  private func put(
    _ configuration: RealServerConfiguration, _ key: VirtualServiceKey, _ level: Logger.Level
  ) throws(DirectorError) {
    if services[key]?.realServers[configuration.address]?.isSorryServer == true {
      services[key]!.realServers[configuration.address]!.isSorryServer = false
      noteEdit(of: .realServer(configuration.address, key))
    }
    switch services[key]?.realServers[configuration.address]?.configuration {
    case nil: try addRealServer(configuration, to: key, level)
    case configuration: break
    default: try editRealServer(configuration, of: key)
    }
  }

  private func deleteAll(except tables: [SiteConfiguration.ServiceTable]) {
    let kept = Dictionary(
      tables.map { ($0.service.key, Set($0.realServers.map(\.address))) },
      uniquingKeysWith: { $1 })
    for (key, service) in services {
      guard let addresses = kept[key] else {
        try? deleteService(key)
        continue
      }
      for (address, realServer) in service.realServers
      where realServer.isSorryServer
        ? address != service.health.sorryServer : !addresses.contains(address)
      {
        remove(address, from: key)
      }
    }
  }
}
