// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import DataPlane

/// What `ipvsadm -S` writes, on its way into a configuration file.
public struct ImportedRules {
  public private(set) var tables: [SiteConfiguration.ServiceTable] = []
  public private(set) var timeouts = TimeoutConfiguration.lvs
  /// Of the services in `tables`.
  private var places: [VirtualServiceKey: Int] = [:]

  public init() {}

  /// Takes one command, or says why it cannot be in a file.
  public mutating func apply(_ command: Command) throws(DirectorError) {
    switch command {
    case .addService(
      let key, let scheduler, let flags, let persistence, let isOnePacket, let change):
      let service = ServiceConfiguration(
        key, scheduler, flags, persistence, isOnePacket, change)
      try service.validate()
      guard places[key] == nil else { throw .serviceExists(key) }
      places[key] = tables.count
      tables.append(SiteConfiguration.ServiceTable(service: service, realServers: []))
    case .addRealServer(let key, let server, let weight, let thresholds):
      guard let place = places[key] else { throw .noSuchService(key) }
      let realServer = RealServerConfiguration(server, weight, thresholds)
      try realServer.validate(for: key)
      guard !tables[place].realServers.contains(where: { $0.address == server.address }) else {
        throw .realServerExists(server.address, key)
      }
      tables[place].realServers.append(realServer)
    case .setTimeouts(let new):
      if new.tcp != 0 { timeouts.tcp = new.tcp }
      if new.tcpFin != 0 { timeouts.tcpFin = new.tcpFin }
      if new.udp != 0 { timeouts.udp = new.udp }
    case .editService, .setPolicy, .deleteService, .editRealServer, .deleteRealServer, .clear,
      .zero, .addToMark, .removeFromMark:
      throw .system("only -A, -a and --set can be in a file: write the table with `ipvsadm -Sn`")
    }
  }
}
