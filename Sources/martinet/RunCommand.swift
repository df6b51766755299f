// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import AdminServer
import ArgumentParser
import ControlPlane
import DataPlane
import Logging
import ServiceLifecycle

/// `martinet run`: the director itself, in the foreground.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Forward on an interface until SIGTERM or SIGINT.",
    discussion: "Services are added with `martinet ipvsadm`, whose commands are ipvsadm's.")

  @Option(help: "The interface that requests come in on and leave by.")
  var interface: String

  @Option(help: "Where the eBPF program runs: in the driver (native) or after it (generic).")
  var xdpMode = XDPMode.native

  @Flag(help: "Let the kernel copy frames: for drivers without zero copy, such as veth.")
  var copy = false

  @Flag(help: "Insist on zero copy.")
  var zeroCopy = false

  @Option(help: "How many receive queues to take, from the first: a number or `all`.")
  var queues = QueueSelection.all

  @Option(help: "The Unix socket that commands come in by.")
  var control = ControlClient.defaultSocketPath

  @Flag(help: "Never let workers sleep: less latency, a CPU each.")
  var busyPoll = false

  func validate() throws {
    if copy && zeroCopy {
      throw ValidationError("--copy and --zero-copy exclude each other: give one of them")
    }
  }

  func run() async throws {
    LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
    let logger = Logger(label: "martinet")
    do {
      try await serve(logger)
    } catch let error as PortError {
      throw Refusal(error).said()
    } catch let error as ControlSocketError {
      throw Refusal.cannotCreate("\(error)").said()
    } catch {
      throw Refusal.system("\(error)").said()
    }
  }

  private func serve(_ logger: Logger) async throws {
    let workers = try WorkerGroup(workerConfiguration)
    defer { workers.stop() }
    let neighbors = try KernelNeighbors(
      interfaceIndices: [Int32(workers.interface.index)], logger: logger)
    defer { neighbors.stop() }
    let director = Director(plane: workers, neighbors: neighbors, logger: logger)
    try workers.start()
    logger.info("forwarding", metadata: workers.interface.metadata)
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: [
          DirectorService(director: director),
          AdminServer(director: director, socketPath: control, logger: logger),
        ],
        gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    try await group.run()
    logger.info("stopped", metadata: ["interface": "\(interface)"])
  }

  private var workerConfiguration: WorkerConfiguration {
    WorkerConfiguration(
      port: PortConfiguration(
        interface: interface, xdpMode: xdpMode,
        copyMode: copy ? .copy : zeroCopy ? .zeroCopy : .automatic, queues: queues),
      busyPoll: busyPoll)
  }
}

/// The director's life within the daemon's.
private struct DirectorService: Service {
  let director: Director

  func run() async throws {
    try await cancelWhenGracefulShutdown { try await director.run() }
  }
}

extension XDPMode: ExpressibleByArgument {}

extension QueueSelection: ExpressibleByArgument {
  public init?(argument: String) {
    if argument == "all" {
      self = .all
    } else if let count = Int(argument), count > 0 {
      self = .count(count)
    } else {
      return nil
    }
  }

  public var defaultValueDescription: String {
    switch self {
    case .all: "all"
    case .count(let count): "\(count)"
    }
  }
}

extension InterfaceDescription {
  /// What is in effect, for the log.
  fileprivate var metadata: Logger.Metadata {
    [
      "interface": "\(name)", "mac": "\(macAddress)", "mtu": "\(mtu)", "queues": "\(queueCount)",
      "xdp": "\(xdpMode.rawValue)", "copy": "\(isZeroCopy ? "zero-copy" : "copy")",
      "transmitBudget": "\(hasTransmitBudget)",
    ]
  }
}

extension Refusal {
  fileprivate init(_ error: PortError) {
    self =
      switch error.kind {
      case .noSuchInterface, .busy, .unsupported: .unavailable(error.description)
      case .noPermission: .permission(error.description)
      case .exhausted, .system: .system(error.description)
      }
  }
}
