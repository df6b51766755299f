// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Which connections a listing shows: those that each of these takes. The default takes all.
public struct ConnectionFilter: Hashable, Sendable {
  public var service: VirtualServiceKey?
  public var realServer: IPAddress?
  public var clients: AddressPrefix?
  /// Empty for all.
  public var states: Set<ConnectionStatus.State>
  /// `ConnectionStatus.idleSeconds`.
  public var idleSeconds: ClosedRange<UInt32>

  public init(
    service: VirtualServiceKey? = nil, realServer: IPAddress? = nil,
    clients: AddressPrefix? = nil, states: Set<ConnectionStatus.State> = [],
    idleSeconds: ClosedRange<UInt32> = 0...UInt32.max
  ) {
    self.service = service
    self.realServer = realServer
    self.clients = clients
    self.states = states
    self.idleSeconds = idleSeconds
  }

  fileprivate func takes(_ client: IPAddress, _ state: ConnectionStatus.State) -> Bool {
    (states.isEmpty || states.contains(state)) && clients?.contains(client) != false
  }
}

/// The workers' connections and the clients of persistent services, for one who lists them.
///
/// Reading goes on in the caller's thread, beside the workers, which it never holds up, and beside
/// the director, which goes on taking commands. Each call looks at `recordLimit` records at most.
public struct ConnectionListing: Sendable {
  /// A few milliseconds' work.
  public static let recordLimit = 1 << 18

  private let plane: any ForwardingPlane
  private let names: ConnectionNames
  private let filter: ConnectionFilter
  /// nil for all.
  private let realServers: Set<RealServerIndex>?
  private let timeouts: ConnectionTimeouts

  init(
    _ plane: any ForwardingPlane, _ names: ConnectionNames, _ timeouts: ConnectionTimeouts,
    _ filter: ConnectionFilter
  ) {
    self.plane = plane
    self.names = names
    self.timeouts = timeouts
    self.filter = filter
    realServers = names.realServers(of: filter.service, at: filter.realServer)
  }

  /// At most `limit` connections from `position` on; nil begins at the first. Where few connections
  /// are wanted a page may have none though there are more.
  public func page(from position: ConnectionPosition? = nil, limit: Int) -> ConnectionPage {
    var page = ConnectionPage(connections: [], next: nil)
    guard limit > 0 else { return page }
    page.next = forEach(from: position) {
      page.connections.append($0)
      return page.connections.count < limit
    }
    return page
  }

  /// How many there are from `position` on, and where to go on counting; nil after the last.
  public func count(
    from position: ConnectionPosition? = nil
  ) -> (connections: Int, next: ConnectionPosition?) {
    var count = 0
    let next = forEach(from: position) { _ in
      count += 1
      return true
    }
    return (count, next)
  }

  /// The tables lie one after the other: a worker's each, then the templates.
  private func forEach(
    from position: ConnectionPosition?, _ take: (ConnectionStatus) -> Bool
  ) -> ConnectionPosition? {
    let views = plane.views
    let now = Tick.now()
    var table = position?.table ?? 0
    var record = position?.record ?? 0
    var rest = Self.recordLimit
    var goesOn = true
    while table <= views.count, rest > 0, goesOn {
      let records = table < views.count ? views[table].records : plane.templates.records
      record = min(record, records)
      let first = record
      if table < views.count {
        record = views[table].forEachConnection(from: first, to: first + rest, now: now) {
          if let status = wanted($0) { goesOn = take(status) }
          return goesOn
        }
      } else {
        record = plane.templates.forEach(from: first, to: first + rest, now: now) {
          if let status = wanted($0) { goesOn = take(status) }
          return goesOn
        }
      }
      rest -= record - first
      if record == records { (table, record) = (table + 1, 0) }
    }
    return table <= views.count ? ConnectionPosition(table: table, record: record) : nil
  }

  private func wanted(_ connection: ConnectionDescription) -> ConnectionStatus? {
    guard filter.takes(connection.client, .connection(connection.state)),
      realServers?.contains(connection.realServer) != false,
      let status = names.status(of: connection, timeoutSeconds: timeouts[connection.state]),
      filter.idleSeconds.contains(status.idleSeconds)
    else { return nil }
    return status
  }

  private func wanted(_ template: TemplateDescription) -> ConnectionStatus? {
    guard filter.takes(template.client, .template(isAssured: template.isAssured)),
      realServers?.contains(template.realServer) != false,
      let status = names.status(of: template),
      filter.idleSeconds.contains(status.idleSeconds)
    else { return nil }
    return status
  }
}

extension Director {
  /// What the tables hold from now on, as far as `filter` takes it.
  public func connectionListing(
    _ filter: ConnectionFilter = ConnectionFilter()
  ) throws(DirectorError) -> ConnectionListing {
    if let key = filter.service, services[key] == nil { throw .noSuchService(key) }
    // A listing of millions comes in hundreds of requests: no work that grows with the table.
    if connectionNames?.changes != changes {
      connectionNames = (changes, ConnectionNames(services, markGroups))
    }
    let names = connectionNames!.names
    if let address = filter.realServer, names.realServers(of: nil, at: address) == [] {
      throw .unknownRealServer(address)
    }
    return ConnectionListing(plane, names, connectionTimeouts, filter)
  }
}

extension ConnectionPosition {
  fileprivate init(table: Int, record: Int) {
    self.init(rawValue: UInt64(table) << 48 | UInt64(record))
  }
  fileprivate var table: Int { Int(rawValue >> 48) }
  fileprivate var record: Int { Int(rawValue & 0xffff_ffff_ffff) }
}
