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
  func changes(from old: SiteConfiguration) -> [SiteChange] {
    let known = Set(old.tables)
    let same = Set(tables.filter(known.contains).map(\.service.key))
    let (before, after) = (old.without(same).objects, without(same).objects)
    return Set(before.keys).union(after.keys).sorted { "\($0)" < "\($1)" }.compactMap { object in
      switch (before[object], after[object]) {
      case (nil, _?): return SiteChange(object: object, action: .add, details: [])
      case (_?, nil): return SiteChange(object: object, action: .remove, details: [])
      case (let old?, let new?) where old != new:
        return SiteChange(
          object: object, action: .change, details: Self.differences(from: old, to: new))
      default: return nil
      }
    }
  }

  /// All but these services.
  private func without(_ keys: Set<VirtualServiceKey>) -> SiteConfiguration {
    var site = self
    site.tables.removeAll { keys.contains($0.service.key) }
    return site
  }

  private static func differences(
    from old: [String: String], to new: [String: String]
  ) -> [String] {
    Set(old.keys).union(new.keys).sorted().filter { old[$0] != new[$0] }.map { field in
      "\(field) \(old[field] ?? "none") -> \(new[field] ?? "none")"
    }
  }

  /// The file's fields of every object, defaults included.
  private var objects: [SiteObject: [String: String]] {
    var form = ConfigurationForm()
    var copy = self
    copy.visit(&form)
    var objects: [SiteObject: [String: String]] = [.director: [:]]
    for (name, node) in form.node.mapping ?? [:] {
      switch name.string {
      case "timeouts"?: objects[.timeouts] = node.scalars()
      case "services"?, "marks"?: break
      case let name?: objects[.director]!.merge(node.scalars(under: name)) { $1 }
      case nil: break
      }
    }
    for (table, node) in zip(marks, form.node["marks"]?.sequence ?? []) {
      objects[.mark(table.mark)] = node.scalars()
    }
    let nodes = form.node["services"]?.sequence ?? []
    for (table, node) in zip(tables, nodes) {
      let key = table.service.key
      for (realServer, node) in zip(table.realServers, node["real-servers"]?.sequence ?? []) {
        objects[.realServer(realServer.address, key)] = node.scalars()
      }
      objects[.service(key)] = node.scalars().filter { !$0.key.hasPrefix("real-servers[") }
    }
    return objects
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
