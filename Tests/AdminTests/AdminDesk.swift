// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import DataPlane
import Foundation
import Logging
import TestSupport
import Testing

@testable import AdminServer

/// A director over real forwarders behind a real control socket.
struct AdminDesk: Sendable {
  let plane: InProcessPlane
  let director: Director
  let socketPath: String

  /// What a program left behind.
  struct Outcome: Equatable {
    var output = ""
    var complaint = ""
    var exitCode: Int32 = 0
  }

  /// Serves while `body` runs.
  static func serve(
    limits: ClientLimits = .init(), plane: InProcessPlane? = nil,
    neighbors: StatedNeighbors = .site(),
    _ body: (AdminDesk) async throws -> Void
  ) async throws {
    let plane = try plane ?? InProcessPlane()
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let desk = AdminDesk(
      plane: plane,
      director: Director(plane: plane, neighbors: neighbors, logger: logger),
      socketPath: temporarySocketPath())
    let serving = await served { opened in
      AdminServer(
        director: desk.director, socketPath: desk.socketPath, logger: logger, limits: limits,
        opened: opened)
    }
    defer { serving.cancel() }
    try await body(desk)
    serving.cancel()
    try await serving.value
    #expect(!FileManager.default.fileExists(atPath: desk.socketPath))
  }

  /// Runs an ipvsadm command line against the director.
  func ipvsadm(
    _ arguments: [String], input: String = "", names: NameService = .fixture
  ) async -> Outcome {
    let client = ControlClient(socketPath: socketPath, timeoutSeconds: 60)
    return await onThread {
      var outcome = Outcome()
      outcome.exitCode = Ipvsadm(programName: "ipvsadm", client: client, names: names).run(
        arguments, input: { input }, write: { outcome.output += $0 },
        complain: { outcome.complaint += $0 })
      return outcome
    }
  }

  func ipvsadm(_ line: String) async -> Outcome {
    await ipvsadm(line.split(separator: " ").map(String.init))
  }
}

/// A server's run, once clients can come or it has given up. The socket's file is there sooner,
/// between bind(2) and listen(2).
func served(
  _ server: (_ opened: @escaping @Sendable () -> Void) -> AdminServer
) async -> Task<Void, any Error> {
  let (opening, signal) = AsyncStream<Void>.makeStream()
  let server = server { signal.finish() }
  let serving = Task {
    defer { signal.finish() }
    try await server.run()
  }
  for await _ in opening {}
  return serving
}

func temporarySocketPath() -> String {
  NSTemporaryDirectory() + "martinet-\(UUID().uuidString.prefix(8)).sock"
}

/// Blocking work off the threads that the server and the director need.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
  await withCheckedContinuation { continuation in
    Thread.detachNewThread { continuation.resume(returning: body()) }
  }
}

extension NameService {
  /// Service names of /etc/services, and one host: what the recordings saw.
  static let fixture = NameService(
    address: { $0 == "localhost" ? IPv4Address("127.0.0.1") : nil }, port: NameService.system.port,
    hostName: { $0 == IPAddress("127.0.0.1") ? "localhost" : nil },
    serviceName: NameService.system.serviceName)
}

/// A file beside the tests.
func fixture(_ name: String) throws -> String {
  let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")
  return try String(contentsOf: folder.appending(path: name), encoding: .utf8)
}
