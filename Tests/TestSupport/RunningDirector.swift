// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import DataPlane
import Foundation

/// `martinet run` on a host of the test network, and the operator's commands to it.
public final class RunningDirector {
  public let host: Machine
  public let process: Child
  public let controlPath: String
  private let folder: String

  /// The program's path under the name `ipvsadm`, which its messages begin with.
  public var ipvsadmPath: String { folder + "/ipvsadm" }

  /// The executable that was built with these tests.
  public static let executable: String = {
    let tests = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return URL(fileURLWithPath: tests ?? "").deletingLastPathComponent()
      .appendingPathComponent("martinet").path
  }()

  /// Starts it and waits until it answers; throws what it said if it does not.
  public init(on host: Machine, _ arguments: [String] = ["--copy"]) throws {
    self.host = host
    folder = NSTemporaryDirectory() + "martinet-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(
      atPath: folder + "/ipvsadm", withDestinationPath: Self.executable)
    controlPath = folder + "/control"
    process = try host.start(Self.command(arguments, control: controlPath))
    let isUp = try waitUntil(seconds: 30) {
      if let ending = process.wait(seconds: 0) {
        throw Failure("martinet run ended: \(ending)\n\(process.output)")
      }
      return try finish("-Ln").ending == .exit(0)
    }
    guard isUp else { throw Failure("martinet run does not answer\n\(process.output)") }
  }

  deinit {
    process.send(SIGTERM)
    _ = process.wait(seconds: 10)
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// `martinet run` with no more rights than the shipped unit gives it; on `lan0` unless a file
  /// says where.
  public static func command(_ arguments: [String], control: String) -> [String] {
    let interface = arguments.contains("--config") ? [] : ["--interface", "lan0"]
    return Sandbox.prefix + [executable, "run", "--control", control] + interface + arguments
  }

  /// Runs the program under the name `ipvsadm`, arguments separated by spaces.
  public func finish(_ arguments: String) throws -> (ending: Child.Ending, output: String) {
    try host.finish(
      [ipvsadmPath] + arguments.split(separator: " ").map(String.init),
      environment: ["MARTINET_CONTROL": controlPath])
  }

  @discardableResult
  public func ipvsadm(_ arguments: String) throws -> String {
    let (ending, output) = try finish(arguments)
    guard ending == .exit(0) else { throw Failure("ipvsadm \(arguments): \(ending)\n\(output)") }
    return output
  }

  /// Runs `martinet` itself, arguments separated by spaces; throws unless it exits with 0.
  @discardableResult
  public func martinet(_ arguments: String) throws -> String {
    let (ending, output) = try host.finish(
      [Self.executable] + arguments.split(separator: " ").map(String.init),
      environment: ["MARTINET_CONTROL": controlPath])
    guard ending == .exit(0) else { throw Failure("martinet \(arguments): \(ending)\n\(output)") }
    return output
  }

  /// `ipvsadm -R` with these rules on its standard input.
  public func restore(_ rules: [String]) throws -> (ending: Child.Ending, output: String) {
    let script = "exec \"$0\" -R <<'END'\n\(rules.joined(separator: "\n"))\nEND\n"
    return try host.finish(
      ["sh", "-c", script, ipvsadmPath], environment: ["MARTINET_CONTROL": controlPath])
  }

  /// A service with real servers, ready when each of them resolves.
  public func serve(_ service: String, scheduler: String = "rr", _ realServers: [String]) throws {
    try ipvsadm("-A \(service) -s \(scheduler)")
    for realServer in realServers { try ipvsadm("-a \(service) -r \(realServer)") }
    let resolved = try waitUntil { try realServersOf(service).allSatisfy(\.isResolved) }
    guard resolved else { throw Failure("unresolved: \(try ipvsadm("-Ln"))\n\(process.output)") }
  }

  /// The table as the JSON API gives it.
  public func table() throws -> TableReport {
    try JSONDecoder().decode(TableReport.self, from: Data(get("services").utf8))
  }

  /// What its queues count.
  public func queues() throws -> [QueueReport] {
    try JSONDecoder().decode([QueueReport].self, from: Data(get("queues").utf8))
  }

  /// Real servers of `-t VIP:80` and the like, by address.
  public func realServersOf(_ service: String) throws -> [RealServerReport] {
    let isUDP = service.hasPrefix("-u")
    let name = service.dropFirst(3)
    return try table().services
      .first { report in
        (report.service.ipProtocol == .udp) == isUDP && Self.name(of: report.service) == name
      }?
      .realServers.sorted { $0.realServer.address < $1.realServer.address } ?? []
  }

  private static func name(of key: VirtualServiceKey) -> String {
    if case .v6 = key.address { return "[\(key.address)]:\(key.port.rawValue)" }
    return "\(key.address):\(key.port.rawValue)"
  }

  /// A document of the JSON API.
  public func get(_ path: String) throws -> String {
    let (ending, output) = try host.finish(
      ["curl", "-sS", "-m", "5", "--unix-socket", controlPath, "http://director/v1/\(path)"])
    guard ending == .exit(0) else { throw Failure("GET \(path): \(output)") }
    return output
  }

  /// Whether the kernel shows an XDP program on the interface.
  public var isAttached: Bool {
    get throws { try host.run("ip -d link show lan0").contains("prog/xdp") }
  }
}

/// Every number that stands under `key` anywhere in a JSON document.
public func numbers(_ key: String, in json: String) throws -> [Int] {
  func search(_ value: Any) -> [Int] {
    switch value {
    case let object as [String: Any]:
      object.flatMap { name, value in
        name == key ? [(value as? NSNumber)?.intValue ?? 0] : search(value)
      }
    case let list as [Any]: list.flatMap(search)
    default: []
    }
  }
  return search(try JSONSerialization.jsonObject(with: Data(json.utf8)))
}
