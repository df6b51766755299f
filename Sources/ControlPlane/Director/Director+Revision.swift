// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// A part of what a director is configured to do.
public enum ConfiguredPart: Hashable, Sendable {
  /// Services, timeouts and what marks stand for.
  case everything
  case services
  case service(VirtualServiceKey)
  case realServer(IPAddress, VirtualServiceKey)
  case timeouts
  case marks
  case drains
}

extension Director {
  /// A number that is another after the part was changed, and the same if it was changed back; in
  /// another process it is another. Figures, health and neighbours do not count. nil for a service
  /// or a real server that is not there.
  public func revision(of part: ConfiguredPart) -> Int? {
    var hasher = Hasher()
    hasher.combine(part)
    switch part {
    case .everything:
      let site = site()
      hasher.combine(site.tables)
      hasher.combine(site.timeouts)
      hasher.combine(marks)
    case .services: hasher.combine(site().tables)
    case .service(let key):
      guard let service = services[key] else { return nil }
      hasher.combine(table(of: service))
    case .realServer(let address, let key):
      guard let realServer = services[key]?.realServers[address] else { return nil }
      hasher.combine(realServer.configuration)
    case .timeouts: hasher.combine(timeouts)
    case .marks: hasher.combine(marks)
    case .drains:
      for drain in drains() {
        hasher.combine(drain.service)
        hasher.combine(drain.realServer)
        hasher.combine(drain.end)
        hasher.combine(drain.secondsToDeadline == nil)
      }
    }
    return hasher.finalize()
  }
}
