// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import AdminServer
import ArgumentParser
import ControlPlane
import DataPlane
import Glibc
import Logging
import ServiceLifecycle
import UnixSignals

/// `martinet run`: the director itself, in the foreground.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Forward on one interface or several until SIGTERM or SIGINT.",
    discussion: """
      Services come from the configuration file, or are added with `martinet ipvsadm`, whose \
      commands are ipvsadm's. An option goes before what the file says.
      """)

  @Option(help: "The configuration file; without one, name the interface.")
  var config: String?

  @Option(
    help: """
      The interface that requests come in on and leave by. Given again, several: a real server is \
      reached by the one on whose LAN it is. The modes are those of all of them.
      """)
  var interface: [String] = []

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
  var metrics: TCPEndpoint?

  @Flag(help: "Never let workers sleep: less latency, a CPU each.")
  var busyPoll = false

  func validate() throws {
    if copy && zeroCopy {
      throw ValidationError("--copy and --zero-copy exclude each other: give one of them")
    }
    if Set(interface).count < interface.count {
      throw ValidationError("--interface names one interface twice: give each once")
    }
    if config == nil && interface.isEmpty {
      throw ValidationError("no interface: give --interface NAME or --config FILE")
    }
  }

  func run() async throws {
    LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
    let logger = Logger(label: "martinet")
    let file = config.map(ConfigurationFile.init)
    do {
      let loaded = try file?.read()
      try await serve(effective(loaded), file, loaded, logger)
    } catch let error as ConfigurationFileError {
      throw Refusal(error).said()
    } catch let error as PortError {
      throw Refusal(error).said()
    } catch let error as DirectorRefusals {
      throw Refusal.data(error.description).said()
    } catch let error as ControlSocketError {
      throw Refusal.cannotCreate("\(error)").said()
    } catch let error as ListeningError {
      throw Refusal.unavailable("\(error)").said()
    } catch let error as APICredentialsError {
      throw Refusal.data("\(error)").said()
    } catch {
      throw Refusal.system("\(error)").said()
    }
  }

  /// - Parameters:
  ///   - site: what is in effect.
  ///   - file: where it comes from, and what it says by itself.
  private func serve(
    _ site: SiteConfiguration, _ file: ConfigurationFile?, _ loaded: SiteConfiguration?,
    _ logger: Logger
  ) async throws {
    let credentials = try site.api.map(APICredentials.init)
    let workers = try WorkerGroup(site.workers)
    defer { workers.stop() }
    let indices = workers.interfaces.map { Int32($0.index) }
    let neighbors = try KernelNeighbors(
      interfaceIndices: indices, logger: logger)
    defer { neighbors.stop() }
    let owner =
      site.announce
      ? try VirtualAddressOwner(
        interfaces: workers.interfaces, role: site.role, notify: site.notify, logger: logger)
      : nil
    let checks = try CheckLoop(interfaces: indices, logger: logger)
    defer { checks.stop() }
    let director = Director(
      plane: workers, neighbors: neighbors, checks: checks, logger: logger)
    let manager = ManagedService(
      director: director, interfaces: site.interfaceNames, logger: logger,
      parts: 2 + (site.metrics == nil ? 0 : 1) + (site.api == nil ? 0 : 1))
    try await director.apply(site)
    try workers.start()
    for interface in workers.interfaces {
      logger.info("forwarding", metadata: interface.metadata)
    }
    var configuration: RunningConfiguration?
    if let file, let loaded {
      configuration = RunningConfiguration(
        file: file, loaded: loaded, director: director, logger: logger,
        renew: { try credentials?.renew() ?? {} })
    }
    var services: [any Service] = [
      DirectorService(director: director, settled: manager.partIsReady),
      AdminServer(
        director: director, configuration: configuration, owner: owner,
        socketPath: site.control ?? defaultSocketPath(), logger: logger,
        opened: manager.partIsReady),
      HangupService(configuration: configuration, manager: manager, logger: logger),
    ]
    if let owner {
      services.append(VirtualAddressService(owner: owner, director: director))
    }
    if let endpoint = site.api, let credentials {
      services.append(
        APIServer(
          director: director, configuration: configuration, owner: owner, endpoint: endpoint,
          credentials: credentials, logger: logger, opened: manager.partIsReady))
    }
    if let endpoint = site.metrics {
      services.append(
        MetricsServer(
          director: director, endpoint: endpoint, logger: logger, opened: manager.partIsReady))
    }
    // The first to hear of the end.
    services.append(manager)
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: services.map { .init(service: $0) },
        gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    try await group.run()
    logger.info("stopped", metadata: ["interface": "\(site.interfaceNames)"])
  }

  private func defaultSocketPath() -> String {
    mkdir(ControlClient.defaultFolder, 0o755)
    return ControlClient.defaultSocketPath
  }

  /// What the file says, and what the options change of it.
  private func effective(_ loaded: SiteConfiguration?) -> SiteConfiguration {
    var site = loaded ?? SiteConfiguration(ports: [])
    if !interface.isEmpty {
      let model = site.ports.first
      site.ports = interface.map { name in
        var port = site.ports.first { $0.interface == name } ?? model
        port?.interface = name
        return port ?? PortConfiguration(interface: name)
      }
    }
    for place in site.ports.indices {
      if let xdpMode { site.ports[place].xdpMode = xdpMode }
      if copy { site.ports[place].copyMode = .copy }
      if zeroCopy { site.ports[place].copyMode = .zeroCopy }
      if let queues { site.ports[place].queues = queues }
    }
    if let control { site.control = control }
    if let metrics { site.metrics = metrics }
    if busyPoll { site.busyPoll = true }
    return site
  }
}

/// The director's life within the daemon's.
private struct DirectorService: Service {
  let director: Director
  let settled: @Sendable () -> Void

  func run() async throws {
    try await cancelWhenGracefulShutdown {
      async let running: Void = director.run()
      try await director.settle()
      settled()
      try await running
    }
  }
}

/// The VIPs belong to this host no longer than the daemon lives.
private struct VirtualAddressService: Service {
  let owner: VirtualAddressOwner
  let director: Director

  func run() async throws {
    await cancelWhenGracefulShutdown { await owner.run(director.virtualAddresses) }
  }
}

/// SIGHUP reloads the configuration file; what is in the way is logged.
private struct HangupService: Service {
  let configuration: RunningConfiguration?
  let manager: ManagedService
  let logger: Logger

  func run() async throws {
    for await _ in await UnixSignalsSequence(trapping: .sighup).cancelOnGracefulShutdown() {
      manager.reloadBegins()
      manager.reloadEnded(refusal: await reload())
    }
  }

  /// Why nothing is changed; nil where the file is in effect.
  private func reload() async -> String? {
    guard let configuration else {
      let refusal = "there is no configuration file to reload: start with --config FILE"
      logger.warning("SIGHUP: \(refusal)")
      return refusal
    }
    do {
      _ = try await configuration.reload(force: false)
      return nil
    } catch {
      logger.error("SIGHUP: nothing is changed: \(error)")
      return "\(error)"
    }
  }
}

extension XDPMode: ExpressibleByArgument {}

extension TCPEndpoint: ExpressibleByArgument {
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
