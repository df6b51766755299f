// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What the workers' numbers stand for.
struct ConnectionNames: Sendable {
  private struct Place {
    var service: VirtualServiceKey
    var persistenceSeconds: UInt32
    var configuration: RealServerConfiguration
  }

  private var services: [ServiceIndex: ServiceConfiguration] = [:]
  private let markGroups: [FirewallMark: MarkGroup]
  private var places: [RealServerIndex: Place] = [:]

  init(_ services: [VirtualServiceKey: Service], _ markGroups: [FirewallMark: MarkGroup]) {
    self.markGroups = markGroups
    for (key, service) in services {
      self.services[service.index] = service.configuration
      let seconds = service.configuration.persistence?.timeoutSeconds ?? 0
      for realServer in Array(service.realServers.values) + service.departed.values {
        places[realServer.index] = Place(
          service: key, persistenceSeconds: seconds, configuration: realServer.configuration)
      }
    }
  }

  /// The numbers of a service's real servers, of those with an address, or of both; nil for all.
  func realServers(
    of service: VirtualServiceKey?, at address: IPAddress?
  ) -> Set<RealServerIndex>? {
    guard service != nil || address != nil else { return nil }
    let wanted = places.filter {
      (service == nil || $0.value.service == service)
        && (address == nil || $0.value.configuration.address == address)
    }
    return Set(wanted.keys)
  }

  /// nil where the service is gone.
  func status(
    of connection: ConnectionDescription, timeoutSeconds: UInt32
  ) -> ConnectionStatus? {
    guard let service = services[connection.service],
      let realServer = places[connection.realServer]?.configuration,
      let virtual = virtual(of: connection, service.key)
    else { return nil }
    // `ip_vs_schedule`: a real server's port of its own is shown where there is no persistence.
    let showsOwnPort = service.persistence == nil && realServer.port != Port(0)
    let (idle, remaining) = Self.seconds(connection.remainingMilliseconds, of: timeoutSeconds)
    return ConnectionStatus(
      service: service.key, virtual: virtual, clientAddress: connection.client,
      clientPort: connection.clientPort, realServerAddress: realServer.address,
      realServerPort: showsOwnPort ? realServer.port : virtual.port,
      state: .connection(connection.state), remainingSeconds: remaining, idleSeconds: idle)
  }

  /// What the client addressed; nil where the mark never stood for it.
  private func virtual(
    of connection: ConnectionDescription, _ service: VirtualServiceKey
  ) -> VirtualServiceKey? {
    guard let mark = service.mark else {
      guard service.port == Port(0) else { return service }
      return VirtualServiceKey(
        address: service.address, ipProtocol: service.ipProtocol, port: connection.destinationPort)
    }
    return markGroups[mark]?.target(of: connection.vip).map {
      VirtualServiceKey(
        address: $0.address, ipProtocol: $0.ipProtocol, port: connection.destinationPort)
    }
  }

  /// As the kernel has them: `conn_in_get` with a client port of 0. nil where the service is gone.
  func status(of template: TemplateDescription) -> ConnectionStatus? {
    guard let place = places[template.realServer] else { return nil }
    let (idle, remaining) = Self.seconds(
      template.remainingMilliseconds, of: place.persistenceSeconds)
    return ConnectionStatus(
      service: place.service, virtual: place.service.ofTemplates, clientAddress: template.client,
      clientPort: Port(0), realServerAddress: place.configuration.address,
      realServerPort: place.service.port,
      state: .template(isAssured: template.isAssured), remainingSeconds: remaining,
      idleSeconds: idle)
  }

  /// What is over of a timeout, and what is left of it.
  private static func seconds(
    _ remainingMilliseconds: Int32, of timeoutSeconds: UInt32
  ) -> (idle: UInt32, remaining: UInt32) {
    let remaining = Int64(max(0, remainingMilliseconds))
    let idle = max(0, Int64(timeoutSeconds) * 1000 - remaining)
    return (UInt32(idle / 1000), UInt32(remaining / 1000))
  }
}

extension VirtualServiceKey {
  /// `ip_vs_sched_persist`: clients of a mark's service are kept under protocol 0, with the mark
  /// in the first four octets of the address.
  fileprivate var ofTemplates: VirtualServiceKey {
    guard let mark else { return self }
    let address: IPAddress =
      switch address {
      case .v4: .v4(IPv4Address(rawValue: mark.rawValue))
      case .v6: .v6(IPv6Address(high: UInt64(mark.rawValue) << 32, low: 0))
      }
    return VirtualServiceKey(address: address, ipProtocol: IPProtocol(rawValue: 0), port: Port(0))
  }
}
