// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation

/// A blocking client of the daemon's control socket.
public struct ControlClient: Sendable {
  /// Where the daemon listens unless told otherwise.
  public static let defaultSocketPath = defaultFolder + "/control.sock"
  /// The daemon makes it where its service manager has not.
  public static let defaultFolder = "/run/martinet"
  /// What MARTINET_CONTROL names, else `defaultSocketPath`.
  public static var socketPathInEnvironment: String {
    let path = ProcessInfo.processInfo.environment["MARTINET_CONTROL"] ?? ""
    return path.isEmpty ? defaultSocketPath : path
  }

  /// Commands that one request may carry; a longer list goes in several.
  public static let commandLimit = 1000
  /// Connections that one page may have.
  public static let connectionLimit = 10_000

  private let socket: ControlSocket

  /// - Parameter timeoutSeconds: for the whole of each request and its answer.
  public init(socketPath: String, timeoutSeconds: Int = 30) {
    socket = ControlSocket(path: socketPath, timeoutSeconds: timeoutSeconds)
  }

  /// Carries out commands in order; those that the director refuses do not stop the others. The
  /// workers act on them when this returns.
  ///
  /// - Parameter progress: hears how many are carried out, after each request.
  public func apply(
    _ commands: [Command], progress: (Int) -> Void = { _ in }
  ) throws(ControlError) -> [CommandsReport.Failure] {
    var failures: [CommandsReport.Failure] = []
    for start in stride(from: 0, to: commands.count, by: Self.commandLimit) {
      let part = Array(commands[start..<min(start + Self.commandLimit, commands.count)])
      let isLast = start + part.count == commands.count
      let report: CommandsReport = try request(
        "POST", "/v1/commands" + (isLast ? "" : "?more=true"), part)
      failures += report.failures.map {
        CommandsReport.Failure(index: start + $0.index, problem: $0.problem)
      }
      progress(start + part.count)
    }
    return failures
  }

  public func table() throws(ControlError) -> TableReport {
    let answer = try exchange("GET", "/v1/services", accept: "text/csv")
    guard let table = TableReport(rows: [UInt8](answer.content)) else {
      throw .unintelligible(socketPath: socket.path)
    }
    return table
  }

  public func service(_ key: VirtualServiceKey) throws(ControlError) -> ServiceReport {
    try request("GET", "/v1/services/\(key.path)")
  }

  /// All health checks, in the order they came.
  public func checks() throws(ControlError) -> [CheckReport] { try request("GET", "/v1/checks") }

  /// What each firewall mark stands for, by number.
  public func marks() throws(ControlError) -> [MarkReport] { try request("GET", "/v1/marks") }

  /// The receive queues' counters.
  public func queues() throws(ControlError) -> [QueueReport] { try request("GET", "/v1/queues") }

  public func timeouts() throws(ControlError) -> Timeouts { try request("GET", "/v1/timeouts") }

  /// A page of connections; `from` is `next` of the page before.
  public func connections(
    _ query: ConnectionQuery = ConnectionQuery(), from: UInt64? = nil, limit: Int = connectionLimit
  ) throws(ControlError) -> ConnectionPageReport {
    var fields = query.fields
    fields["limit"] = String(limit)
    let answer = try exchange("GET", target("/v1/connections", fields, from), accept: "text/csv")
    let next = answer.headers["martinet-next"]
    guard let connections = ConnectionReport.reports(rows: [UInt8](answer.content)),
      next == nil || UInt64(next!) != nil
    else { throw .unintelligible(socketPath: socket.path) }
    return ConnectionPageReport(connections: connections, next: next.flatMap { UInt64($0) })
  }

  /// Real servers' neighbour entries, by address.
  public func neighbors() throws(ControlError) -> [NeighborReport] {
    try request("GET", "/v1/neighbors")
  }

  /// Begins to drain a real server; returns its drains.
  public func drain(_ drain: DrainRequest) throws(ControlError) -> [DrainReport] {
    try request("POST", "/v1/drains", drain)
  }

  public func drains() throws(ControlError) -> [DrainReport] { try request("GET", "/v1/drains") }

  /// In all services, where none is named.
  public func cancelDrain(
    of address: IPAddress, in service: VirtualServiceKey?
  ) throws(ControlError) {
    let _: Nothing = try request(
      "DELETE", "/v1/drains/\(address)" + (service.map { "/\($0.path)" } ?? ""))
  }

  /// Has the daemon load its configuration file, or say what that would do.
  public func reload(_ reload: ReloadRequest) throws(ControlError) -> ReloadReport {
    try request("POST", "/v1/configuration/reload", reload)
  }

  /// Keeps what was reloaded on trial.
  public func confirm() throws(ControlError) {
    let _: Nothing = try request("POST", "/v1/configuration/confirm")
  }

  /// Has the daemon write what it does to its configuration file.
  public func save() throws(ControlError) -> SaveReport {
    try request("POST", "/v1/configuration/save")
  }

  /// Whose the VIPs are.
  public func virtualAddresses() throws(ControlError) -> VirtualAddressesReport {
    try request("GET", "/v1/vips")
  }

  /// Has the daemon tell the LAN again where the VIPs are.
  public func announce() throws(ControlError) -> VirtualAddressesReport {
    try request("POST", "/v1/vips/announce")
  }

  /// Has the daemon take the VIPs as `master`, or leave them as `backup`.
  public func become(_ role: String) throws(ControlError) -> VirtualAddressesReport {
    try request("PUT", "/v1/vips", RoleRequest(role: role))
  }

  /// The answer that has no content.
  private struct Nothing: Decodable {}

  /// How many connections a part of the tables has; `from` is `next` of the part before.
  public func connectionCount(
    _ query: ConnectionQuery = ConnectionQuery(), from: UInt64? = nil
  ) throws(ControlError) -> ConnectionCountReport {
    try request("GET", target("/v1/connections/count", query.fields, from))
  }

  private func target(_ path: String, _ fields: [String: String], _ from: UInt64?) -> String {
    var fields = fields
    fields["from"] = from.map { String($0) }
    let query = fields.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    return query.isEmpty ? path : path + "?" + query.joined(separator: "&")
  }

  private func exchange(
    _ method: String, _ target: String, accept: String = "application/json", body: Data? = nil
  ) throws(ControlError) -> ControlSocket.Answer {
    let answer = try socket.exchange(method, target, accept: accept, body: body)
    guard answer.status / 100 == 2 else {
      throw (try? JSONDecoder().decode(Problem.self, from: answer.content))
        .map(ControlError.refused) ?? .unintelligible(socketPath: socket.path)
    }
    return answer
  }

  private func request<Document: Decodable>(
    _ method: String, _ path: String, _ body: (any Encodable)? = nil
  ) throws(ControlError) -> Document {
    do {
      let body = try body.map { try JSONEncoder().encode($0) }
      let answer = try exchange(method, path, body: body)
      let content = answer.status == 204 ? Data("{}".utf8) : answer.content
      return try JSONDecoder().decode(Document.self, from: content)
    } catch let error as ControlError {
      throw error
    } catch {
      throw .unintelligible(socketPath: socket.path)
    }
  }
}

/// Why a request to the daemon came to nothing.
public enum ControlError: Error, Hashable, Sendable, CustomStringConvertible {
  case noDaemon(socketPath: String)
  case permissionDenied(socketPath: String)
  case timedOut(socketPath: String)
  case unintelligible(socketPath: String)
  case system(String)
  case refused(Problem)

  public var description: String {
    switch self {
    case .noDaemon(let path):
      "no director answers at \(path): start `martinet run`, or name its socket in MARTINET_CONTROL"
    case .permissionDenied(let path):
      "\(path): Permission denied (you must be root)"
    case .timedOut(let path):
      "the director at \(path) does not answer in time: see its log"
    case .unintelligible(let path):
      "what answers at \(path) is not a director of this version: restart `martinet run`"
    case .system(let sentence):
      sentence
    case .refused(let problem):
      problem.detail
    }
  }
}
