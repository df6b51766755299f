// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Yams

/// A thing that the configuration file describes and that changes while the director runs.
public enum SiteObject: Hashable, Sendable, CustomStringConvertible {
  /// What is fixed when it starts: interface, capacity, sockets.
  case director
  case timeouts
  /// What a firewall mark stands for.
  case mark(FirewallMark)
  case service(VirtualServiceKey)
  case realServer(IPAddress, VirtualServiceKey)

  public var description: String {
    switch self {
    case .director: "director"
    case .timeouts: "timeouts"
    case .mark(let mark): "mark \(mark.rawValue)"
    case .service(let key): "service \(key)"
    case .realServer(let address, let key): "service \(key), real server \(address)"
    }
  }
}

/// One step from a configuration to another.
public struct SiteChange: Hashable, Sendable {
  public enum Action: String, Hashable, Sendable { case add, change, remove }

  public var object: SiteObject
  public var action: Action
  /// `weight 1 -> 3`, in the file's words; empty unless something is changed.
  public var details: [String]
}

extension SiteConfiguration {
  /// What becomes of the tables and timeouts of `old` if this takes their place, in the order of
  /// names.
  ///
  /// Values are compared; the words of the file are found only for what differs, so that a large
  /// file costs what is changed in it.
  func changes(from old: SiteConfiguration) -> [SiteChange] {
    var changes = changesOfRest(from: old)
    let (before, after) = (old.tablesByKey, tablesByKey)
    for (key, table) in before where after[key] == nil {
      changes += table.objects.map { SiteChange(object: $0, action: .remove, details: []) }
    }
    for (key, table) in after {
      if let former = before[key] {
        if former != table { changes += table.changes(from: former) }
      } else {
        changes += table.objects.map { SiteChange(object: $0, action: .add, details: []) }
      }
    }
    return changes.map { (name: "\($0.object)", change: $0) }.sorted { $0.name < $1.name }
      .map(\.change)
  }

  private var tablesByKey: [VirtualServiceKey: ServiceTable] {
    Dictionary(tables.map { ($0.service.key, $0) }, uniquingKeysWith: { $1 })
  }

  /// All but the services.
  private func changesOfRest(from old: SiteConfiguration) -> [SiteChange] {
    let (before, after) = (old.rest, rest)
    return Set(before.keys).union(after.keys).compactMap { object in
      SiteChange(object, from: before[object], to: after[object]) { fields in
        var shown = fields
        shown["notify"] = fields["notify"]?.shownCommand
        return shown
      }
    }
  }

  /// The file's fields of all but the services, defaults included.
  private var rest: [SiteObject: [String: String]] {
    var site = self
    site.tables = []
    var objects: [SiteObject: [String: String]] = [.director: [:]]
    for (name, node) in site.node.mapping ?? [:] {
      switch name.string {
      case "timeouts"?: objects[.timeouts] = node.scalars()
      case "marks"?:
        for (table, node) in zip(marks, node.sequence ?? []) {
          objects[.mark(table.mark)] = node.scalars()
        }
      case let name?: objects[.director]!.merge(node.scalars(under: name)) { $1 }
      case nil: break
      }
    }
    return objects
  }
}

extension SiteConfiguration.ServiceTable {
  /// A real server with what it alone is asked.
  private struct Member: Equatable {
    var realServer: RealServerConfiguration
    var checks: [HealthCheck]?

    func scalars(of key: VirtualServiceKey) -> [String: String] {
      var (form, realServer, checks) = (ConfigurationForm(), realServer, checks?.shown)
      realServer.visit(&form, of: key, &checks)
      return form.node.scalars()
    }
  }

  private var members: [IPAddress: Member] {
    Dictionary(
      realServers.map {
        ($0.address, Member(realServer: $0, checks: health.ownChecks[$0.address]))
      }, uniquingKeysWith: { $1 })
  }

  /// What the service has beside its real servers.
  private var head: Self {
    var head = self
    (head.realServers, head.health.ownChecks) = ([], [:])
    return head
  }

  fileprivate var objects: [SiteObject] {
    let key = service.key
    return [.service(key)] + members.keys.map { .realServer($0, key) }
  }

  fileprivate func changes(from old: Self) -> [SiteChange] {
    let key = service.key
    let (before, after) = (old.members, members)
    let ofMembers = Set(before.keys).union(after.keys).compactMap { address in
      SiteChange(
        .realServer(address, key), from: before[address], to: after[address]
      ) { $0.scalars(of: key) }
    }
    let ofService = SiteChange(.service(key), from: old.head, to: head) { head in
      var (form, head) = (ConfigurationForm(), head.shown)
      head.visit(&form)
      return form.node.scalars()
    }
    return ofMembers + [ofService].compactMap { $0 }
  }
}

extension SiteChange {
  /// nil where both are the same.
  ///
  /// - Parameter fields: the file's, by their paths.
  fileprivate init?<Value: Equatable>(
    _ object: SiteObject, from old: Value?, to new: Value?,
    fields: (Value) -> [String: String]
  ) {
    guard old != new else { return nil }
    self.object = object
    (action, details) = (old == nil ? .add : .remove, [])
    guard let old = old.map(fields), let new = new.map(fields) else { return }
    action = .change
    details = Set(old.keys).union(new.keys).sorted().filter { old[$0] != new[$0] }.map { field in
      "\(field) \(old[field] ?? "none") -> \(new[field] ?? "none")"
    }
  }
}

extension Node {
  /// Its scalars by their paths below it.
  fileprivate func scalars(under path: String = "") -> [String: String] {
    switch self {
    case .scalar(let scalar): return [path: scalar.string]
    case .mapping(let mapping):
      return mapping.reduce(into: [:]) { scalars, field in
        let name = field.key.string ?? ""
        scalars.merge(field.value.scalars(under: path.isEmpty ? name : "\(path).\(name)")) { $1 }
      }
    case .sequence(let sequence):
      return sequence.enumerated().reduce(into: [:]) { scalars, element in
        scalars.merge(element.element.scalars(under: "\(path)[\(element.offset)]")) { $1 }
      }
    case .alias: return [:]
    }
  }
}
