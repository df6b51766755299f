// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Logging

/// The desired state, and the only one who changes what workers do.
///
/// Commands change the state at once or throw and leave it as it was; `settle()` then returns when
/// the workers act on all that was commanded before it. A burst of commands costs one `settle()`.
public actor Director {
  let plane: any ForwardingPlane
  let neighbors: any NeighborSource
  let logger: Logger
  var services: [VirtualServiceKey: Service] = [:]
  var timeoutConfiguration = TimeoutConfiguration(tcp: 900, tcpFin: 120, udp: 300)
  private var lastSequence: UInt64 = 0

  public init(plane: any ForwardingPlane, neighbors: any NeighborSource, logger: Logger) {
    self.plane = plane
    self.neighbors = neighbors
    self.logger = logger
  }

  // MARK: Services

  public func addService(_ configuration: ServiceConfiguration) throws(DirectorError) {
    let key = configuration.key
    guard services[key] == nil else { throw .serviceExists(key) }
    guard key.ipProtocol == .tcp || key.ipProtocol == .udp else { throw .unsupportedProtocol(key) }
    guard key.port.rawValue != 0 else { throw .portZero(key) }
    services[key] = Service(configuration: configuration, sequence: nextSequence())
  }

  /// Changes the scheduler; real servers and statistics stay.
  public func editService(_ configuration: ServiceConfiguration) throws(DirectorError) {
    guard services[configuration.key] != nil else { throw .noSuchService(configuration.key) }
    services[configuration.key]!.configuration = configuration
  }

  /// Removes a service with its real servers.
  public func deleteService(_ key: VirtualServiceKey) throws(DirectorError) {
    guard let service = services.removeValue(forKey: key) else { throw .noSuchService(key) }
    for address in service.realServers.keys { neighbors.unfollow(address) }
  }

  /// `ipvsadm -C`: removes all services.
  public func clear() {
    for service in services.values {
      for address in service.realServers.keys { neighbors.unfollow(address) }
    }
    services.removeAll()
  }

  // MARK: Real servers

  public func addRealServer(
    _ configuration: RealServerConfiguration, to key: VirtualServiceKey
  ) throws(DirectorError) {
    guard let service = services[key] else { throw .noSuchService(key) }
    guard service.realServers[configuration.address] == nil else {
      throw .realServerExists(configuration.address, key)
    }
    let neighbor = try neighbors.follow(configuration.address)
    services[key]!.realServers[configuration.address] = RealServer(
      configuration: configuration, sequence: nextSequence(), neighbor: neighbor)
  }

  /// Changes the weight; connections and statistics stay.
  public func editRealServer(
    _ configuration: RealServerConfiguration, of key: VirtualServiceKey
  ) throws(DirectorError) {
    guard let service = services[key] else { throw .noSuchService(key) }
    guard service.realServers[configuration.address] != nil else {
      throw .noSuchRealServer(configuration.address, key)
    }
    services[key]!.realServers[configuration.address]!.configuration = configuration
  }

  public func deleteRealServer(
    _ address: IPAddress, port: Port, from key: VirtualServiceKey
  ) throws(DirectorError) {
    guard let service = services[key] else { throw .noSuchService(key) }
    guard port == key.port, service.realServers[address] != nil else {
      throw .noSuchRealServer(address, key)
    }
    services[key]!.realServers[address] = nil
    neighbors.unfollow(address)
  }

  // MARK: Statistics and timeouts

  /// `ipvsadm -Z`: counts anew from here, for one service or for all.
  public func zero(_ key: VirtualServiceKey? = nil) throws(DirectorError) {
    if let key, services[key] == nil { throw .noSuchService(key) }
  }

  public var timeouts: TimeoutConfiguration { timeoutConfiguration }

  /// `ipvsadm --set`: a value of 0 keeps what is set.
  public func setTimeouts(_ timeouts: TimeoutConfiguration) throws(DirectorError) {
    for seconds in [timeouts.tcp, timeouts.tcpFin, timeouts.udp]
    where seconds > TimeoutConfiguration.largest {
      throw .timeoutOutOfRange(seconds)
    }
    if timeouts.tcp != 0 { timeoutConfiguration.tcp = timeouts.tcp }
    if timeouts.tcpFin != 0 { timeoutConfiguration.tcpFin = timeouts.tcpFin }
    if timeouts.udp != 0 { timeoutConfiguration.udp = timeouts.udp }
  }

  // MARK: Reading

  /// All services in the order they were added.
  public func serviceStatuses() -> [ServiceStatus] {
    services.values.sorted { $0.sequence < $1.sequence }.map { service in
      ServiceStatus(
        configuration: service.configuration,
        realServers: service.realServers.values.sorted { $0.sequence > $1.sequence }.map {
          RealServerStatus(configuration: $0.configuration, neighbor: $0.neighbor)
        })
    }
  }

  /// At most `limit` connections from `cursor` on; nil begins at the first.
  public func connections(from cursor: ConnectionCursor? = nil, limit: Int) -> ConnectionPage {
    ConnectionPage(connections: [], next: nil)
  }

  /// Returns when the workers act on all commands given before the call.
  public func settle() async throws(DirectorError) {}

  func nextSequence() -> UInt64 {
    lastSequence += 1
    return lastSequence
  }
}

/// A service as the director keeps it.
struct Service {
  var configuration: ServiceConfiguration
  let sequence: UInt64
  var realServers: [IPAddress: RealServer] = [:]
}

/// A real server of a service as the director keeps it.
struct RealServer {
  var configuration: RealServerConfiguration
  let sequence: UInt64
  var neighbor: Neighbor
}
