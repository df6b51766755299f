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
    discussion: """
      Services come from the configuration file, or are added with `martinet ipvsadm`, whose \
      commands are ipvsadm's. An option goes before what the file says.
      """)

  @Option(help: "The configuration file; without one, name the interface.")
  var config: String?

  @Option(help: "The interface that requests come in on and leave by.")
  var interface: String?

  @Option(help: "Where the eBPF program runs: native (default), in the driver; generic, after it.")
  var xdpMode: XDPMode?

  @Flag(help: "Let the kernel copy frames: for drivers without zero copy, such as veth.")
  var copy = false

  @Flag(help: "Insist on zero copy.")
  var zeroCopy = false

  @Option(help: "How many receive queues to take, from the first: a number or `all` (default).")
  var queues: QueueSelection?

  @Option(
    help: "The Unix socket that commands come in by (default: \(ControlClient.defaultSocketPath)).")
  var control: String?

  @Option(help: "Serve /metrics for Prometheus at this address and port, such as 127.0.0.1:9749.")
  var metrics: MetricsEndpoint?

  @Flag(help: "Never let workers sleep: less latency, a CPU each.")
  var busyPoll = false

  func validate() throws {
    if copy && zeroCopy {
      throw ValidationError("--copy and --zero-copy exclude each other: give one of them")
    }
    if config == nil && interface == nil {
      throw ValidationError("no interface: give --interface NAME or --config FILE")
    }
  }

  func run() async throws {
    LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
    let logger = Logger(label: "martinet")
    let site = try self.site()
    do {
      try await serve(site, logger)
    } catch let error as PortError {
      throw Refusal(error).said()
    } catch let error as DirectorRefusals {
      throw Refusal.data(error.errors.map(\.description).joined(separator: "\nmartinet: ")).said()
    } catch let error as ControlSocketError {
      throw Refusal.cannotCreate("\(error)").said()
    } catch let error as MetricsServerError {
      throw Refusal.unavailable("\(error)").said()
    } catch {
      throw Refusal.system("\(error)").said()
    }
  }

  private func serve(_ site: SiteConfiguration, _ logger: Logger) async throws {
    let workers = try WorkerGroup(site.workers)
    defer { workers.stop() }
    let neighbors = try KernelNeighbors(
      interfaceIndices: [Int32(workers.interface.index)], logger: logger)
    defer { neighbors.stop() }
    let director = Director(plane: workers, neighbors: neighbors, logger: logger)
    try await director.apply(site)
    try workers.start()
    logger.info("forwarding", metadata: workers.interface.metadata)
    var services: [any Service] = [
      DirectorService(director: director),
      AdminServer(
        director: director, socketPath: site.control ?? ControlClient.defaultSocketPath,
        logger: logger),
    ]
    if let endpoint = site.metrics {
      services.append(MetricsServer(director: director, endpoint: endpoint, logger: logger))
    }
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: services.map { .init(service: $0) },
        gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    try await group.run()
    logger.info("stopped", metadata: ["interface": "\(site.port.interface)"])
  }

  /// The file's, and what the options change of it.
  private func site() throws -> SiteConfiguration {
    var site =
      try config.map { try ConfigurationFile(path: $0).read() }
      ?? SiteConfiguration(port: PortConfiguration(interface: ""))
    if let interface { site.port.interface = interface }
    if let xdpMode { site.port.xdpMode = xdpMode }
    if copy { site.port.copyMode = .copy }
    if zeroCopy { site.port.copyMode = .zeroCopy }
    if let queues { site.port.queues = queues }
    if let control { site.control = control }
    if let metrics { site.metrics = metrics }
    if busyPoll { site.busyPoll = true }
    return site
  }
}

/// The director's life within the daemon's.
private struct DirectorService: Service {
  let director: Director

  func run() async throws {
    try await cancelWhenGracefulShutdown {
      async let running: Void = director.run()
      try await director.settle()
      try await running
    }
  }
}

extension XDPMode: ExpressibleByArgument {}

extension MetricsEndpoint: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}

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
