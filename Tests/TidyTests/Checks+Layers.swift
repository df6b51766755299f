// SPDX-License-Identifier: Apache-2.0

/// The arrows between modules and between the rooms of DataPlane: strictly downward.
extension Checks {
  private static let modules: [String: Set<String>] = [
    "DataPlane": ["CXDP", "CDirectorABI", "CMachine"],
    "ControlPlane": ["DataPlane", "CNetlink", "COpenSSL", "CProbe"],
    "AdminAPI": ["DataPlane"],
    "AdminServer": ["AdminAPI", "ControlPlane", "DataPlane", "COpenSSL"],
    "martinet": ["AdminServer", "AdminAPI", "ControlPlane", "DataPlane"],
  ]
  private static let allModules =
    Set(modules.keys).union(["CXDP", "CDirectorABI", "CNetlink", "COpenSSL", "CProbe", "CMachine"])

  /// Of our own modules a target imports only those below it; DataPlane imports nothing else
  /// but the standard library's modules, and CXDP only in its folder Port.
  static func imports(_ file: SourceFile) -> [Finding] {
    let parts = file.path.split(separator: "/")
    guard parts.count > 2, parts[0] == "Sources", let below = modules[String(parts[1])] else {
      return []
    }
    let isDataPlane = parts[1] == "DataPlane"
    return file.imports.compactMap { module in
      let isOurs = allModules.contains(module)
      let advice: String
      if isDataPlane && module == "CXDP" && parts[2] != "Port" {
        advice = "only DataPlane/Port imports CXDP"
      } else if isOurs && !below.contains(module) {
        advice = "\(parts[1]) may not import \(module): arrows run downward"
      } else if isDataPlane && !isOurs && !["Glibc", "Synchronization"].contains(module) {
        advice = "DataPlane may not import \(module)"
      } else {
        return nil
      }
      return Finding(path: file.path, line: line(importing: module, in: file), advice: advice)
    }
  }

  private static func line(importing module: String, in file: SourceFile) -> Int {
    1 + (file.code.firstIndex { $0.contains("import") && $0.contains(module) } ?? 0)
  }

  /// Rooms of DataPlane and the rooms whose types they must not name.
  static let foreignRooms: [String: [String]] = [
    "Wire": ["Forwarding", "Rings", "Port", "Worker"],
    "Forwarding": ["Rings", "Port", "Worker"],
    "Rings": ["Forwarding", "Port", "Worker"],
    "Port": ["Forwarding", "Worker"],
  ]

  /// The types each room declares at top level, by room.
  static func declaredTypes(_ files: [SourceFile]) -> [String: Set<String>] {
    var types: [String: Set<String>] = [:]
    for file in files {
      guard let room = room(of: file) else { continue }
      for line in file.code {
        let declaration = /^(?:[@\w()]+ )*?(?:struct|class|enum|protocol|actor|typealias) (\w+)/
        if let name = line.firstMatch(of: declaration)?.1 {
          types[room, default: []].insert(String(name))
        }
      }
    }
    return types
  }

  /// Names of foreign rooms' types in the code of `file`.
  static func foreignNames(_ file: SourceFile, types: [String: Set<String>]) -> [Finding] {
    guard let room = room(of: file), let foreign = foreignRooms[room] else { return [] }
    return zip(1..., file.code).flatMap { number, line in
      let names = Set(line.matches(of: /\w+/).map { String($0.0) })
      return foreign.flatMap { other in
        names.intersection(types[other] ?? []).sorted().map { name in
          Finding(path: file.path, line: number, advice: "\(room) may not know \(other)'s \(name)")
        }
      }
    }
  }

  private static func room(of file: SourceFile) -> String? {
    let parts = file.path.split(separator: "/")
    guard parts.count > 3, parts[0] == "Sources", parts[1] == "DataPlane" else { return nil }
    return String(parts[2])
  }
}
