// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Logging

extension Director {
  /// Adds a real server at the head of its service's list, as LVS does. One that was removed less
  /// than two minutes ago gets its connections and, in the same service, its statistics back.
  ///
  /// - Parameter level: of the line in the log.
  public func addRealServer(
    _ configuration: RealServerConfiguration, to key: VirtualServiceKey,
    _ level: Logger.Level = .info
  ) throws(DirectorError) {
    guard services[key] != nil else { throw .noSuchService(key) }
    let address = configuration.address
    try configuration.validate(for: key)
    // No local copy of the service: it would make every change copy the list.
    guard services[key]!.realServers[address] == nil else {
      throw .realServerExists(address, key)
    }
    let neighbor = try neighbors.follow(address)
    guard let number = realServerIndices.take(RealServerKey(service: key, address: address)) else {
      if followers[address] == nil { neighbors.unfollow(address) }
      throw .tooManyRealServers(limit: realServerIndices.limit)
    }
    if followers[address] == nil { neighborHistories[address] = NeighborHistory(at: clock()) }
    followers[address, default: []].insert(key)
    let index = RealServerIndex(rawValue: number)
    var realServer =
      services[key]!.departed.removeValue(forKey: index)
      ?? RealServer(
        configuration: configuration, lastWeight: 0, sequence: 0, neighbor: neighbor, index: index,
        origin: workerStatistics(of: index))
    realServer.configuration = configuration
    realServer.isSorryServer = false
    realServer.lastWeight = configuration.weight
    realServer.sequence = nextSequence()
    realServer.neighbor = neighbor
    realServer.drain = nil
    services[key]!.realServers[address] = realServer
    if !neighbor.isResolved { unanswered.insert(address) }
    changeRealServers(of: key)
    noteEdit(of: .realServer(address, key))
    logger.log(
      level: level, "real server added",
      metadata: [
        "service": "\(key)", "address": "\(address)", "weight": "\(configuration.weight)",
        "mac": "\(neighbor.macAddress.map(\.description) ?? "unresolved")",
      ])
  }

  /// Changes weight and thresholds; connections and statistics stay.
  public func editRealServer(
    _ configuration: RealServerConfiguration, of key: VirtualServiceKey
  ) throws(DirectorError) {
    guard services[key] != nil else { throw .noSuchService(key) }
    let address = configuration.address
    try configuration.validateRanges()
    guard let known = services[key]!.realServers[address], !known.isSorryServer,
      key.mark == nil || known.configuration.port == configuration.port
    else { throw .noSuchRealServer(address, key) }
    try configuration.validate(for: key)
    services[key]!.realServers[address]!.configuration = configuration
    if configuration.weight != 0 {
      services[key]!.realServers[address]!.lastWeight = configuration.weight
    }
    changeRealServers(of: key)
    noteEdit(of: .realServer(address, key))
    logger.info(
      "real server edited",
      metadata: [
        "service": "\(key)", "address": "\(address)", "weight": "\(configuration.weight)",
      ])
  }

  public func deleteRealServer(
    _ address: IPAddress, port: Port, from key: VirtualServiceKey
  ) throws(DirectorError) {
    guard services[key] != nil else { throw .noSuchService(key) }
    guard let known = services[key]!.realServers[address], known.configuration.port == port,
      !known.isSorryServer
    else { throw .noSuchRealServer(address, key) }
    remove(address, from: key)
  }

  /// Takes one out that is there.
  func remove(_ address: IPAddress, from key: VirtualServiceKey) {
    guard let realServer = services[key]!.realServers.removeValue(forKey: address) else { return }
    services[key]!.departed[realServer.index] = realServer
    release(realServer, of: key)
    changeRealServers(of: key)
    noteEdit(of: .service(key))
    logger.info(
      "real server deleted", metadata: ["service": "\(key)", "address": "\(address)"])
  }

  func changeRealServers(of key: VirtualServiceKey) {
    services[key]!.revision = nextRevision()
    changes += 1
  }

  /// Puts a real server's number to rest and follows its address no longer if none else needs it.
  func release(_ realServer: RealServer, of key: VirtualServiceKey) {
    let address = realServer.configuration.address
    if realServer.drain != nil { noteEdit(of: .drains) }
    realServerIndices.release(RealServerKey(service: key, address: address), now: clock())
    followers[address]?.remove(key)
    if followers[address]?.isEmpty ?? true {
      followers[address] = nil
      neighborHistories[address] = nil
      unanswered.remove(address)
      neighbors.unfollow(address)
    }
  }
}
