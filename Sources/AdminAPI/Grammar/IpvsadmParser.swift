// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Reads a command line in the grammar of ipvsadm 1.31, and refuses it in ipvsadm's words, order
/// and exit codes. What ipvsadm has and Martinet has not is refused with a sentence of its own.
public struct IpvsadmParser: Sendable {
  private let programName: String
  private let names: NameService

  public init(programName: String = "ipvsadm", names: NameService = .system) {
    self.programName = programName
    self.names = names
  }

  /// `arguments` are those after the program's name; none lists the table.
  public func parse(_ arguments: [String]) throws(UsageError) -> Invocation {
    if arguments.isEmpty {
      return .list(.services(nil, columns: .configuration, isSorted: true), numeric: false)
    }
    var scanner = OptionScanner(arguments)
    let first: OptionScanner.Found?
    do { first = try scanner.next() } catch { throw tryHelp }
    guard let first else { throw tryHelp }
    switch first.option.meaning {
    case .command(let command):
      var line = CommandLineOptions(command: command, names: names)
      try line.read(from: &scanner)
      return try line.invocation(leftovers: scanner.leftovers)
    case .help: return .help
    case .version: return .version
    case .unavailable(let sentence) where first.option.long.hasSuffix("-daemon"):
      throw UsageError("\(first.spelling): \(sentence)")
    case .unavailable, .option, .sort: throw tryHelp
    }
  }

  private var tryHelp: UsageError {
    UsageError(
      "Try `\(programName) -h' or '\(programName) --help' for more information.", exitCode: 255)
  }
}

/// The options of one command line as they are met.
private struct CommandLineOptions {
  let command: CommandName
  let names: NameService
  var given: Set<OptionName> = []
  var ipProtocol = IPProtocol.tcp
  var service: HostAndPort?
  var realServer: HostAndPort?
  var scheduler: String?
  var flagNames = ""
  var persistenceSeconds: UInt32 = 0
  var mask: IPAddress?
  var weight: UInt32 = 1
  var upperThreshold: UInt32 = 0
  var lowerThreshold: UInt32 = 0

  init(command: CommandName, names: NameService) {
    self.command = command
    self.names = names
  }

  mutating func read(from scanner: inout OptionScanner) throws(UsageError) {
    while true {
      let found: OptionScanner.Found?
      do {
        found = try scanner.next()
      } catch {
        throw UsageError(error.message, exitCode: 255)
      }
      guard let found else { return }
      switch found.option.meaning {
      case .option(let name): try read(name, from: found)
      case .sort: break
      case .unavailable(let sentence): throw UsageError("\(found.spelling): \(sentence)")
      case .command, .help, .version: throw UsageError("invalid option `\(found.word)'")
      }
    }
  }

  private mutating func read(
    _ name: OptionName, from found: OptionScanner.Found
  ) throws(UsageError) {
    guard given.insert(name).inserted else {
      throw UsageError("multiple '\(name.rawValue)' options specified")
    }
    switch name {
    case .service:
      ipProtocol = found.option.long == "udp-service" ? .udp : .tcp
      service = HostAndPort(found.argument, ipProtocol: ipProtocol, names: names)
      guard service != nil else {
        throw UsageError("illegal virtual server address[:port] specified")
      }
      // Takes back an earlier -M, as ipvsadm does.
      if isIPv6 { mask = nil }
    case .realServer:
      realServer = HostAndPort(found.argument, ipProtocol: ipProtocol, names: names)
      guard realServer != nil else {
        throw UsageError("illegal real server address[:port] specified")
      }
    case .scheduler:
      scheduler = found.argument
    case .weight:
      weight = try number(found.argument, "weight")
    case .upperThreshold:
      upperThreshold = try number(found.argument, "u_threshold")
    case .lowerThreshold:
      lowerThreshold = try number(found.argument, "l_threshold")
    case .persistent:
      persistenceSeconds =
        found.argument.isEmpty
        ? Persistence.defaultTimeoutSeconds : try seconds(found.argument, from: 1)
    case .netmask:
      mask = try mask(found.argument)
    case .schedulerFlags:
      flagNames = found.argument
    case .numeric, .connection, .forwarding, .timeout, .stats, .rate, .thresholds, .persistentConn,
      .nosort, .exact, .onePacket:
      break
    }
  }

  private var isIPv6: Bool {
    if case .v6 = service?.address { true } else { false }
  }

  /// A prefix length where an IPv6 service was named before, else a mask, or a host that is one.
  private func mask(_ text: String) throws(UsageError) -> IPAddress {
    if isIPv6 {
      // As `atoi`: digits, whatever follows.
      guard let length = Int(text.prefix { $0.isASCII && $0.isNumber }), (1...128).contains(length)
      else { throw UsageError("illegal ipv6 netmask specified") }
      return .v6(IPv6Address(prefixLength: length))
    }
    guard let mask = HostAndPort.ipv4(text) ?? names.address(text) else {
      throw UsageError("illegal virtual server persistent mask specified")
    }
    return .v4(mask)
  }

  private var persistence: Persistence? {
    given.contains(.persistent)
      ? Persistence(timeoutSeconds: persistenceSeconds, mask: mask) : nil
  }

  /// 0…2147483647.
  private func number(_ text: String, _ name: String) throws(UsageError) -> UInt32 {
    guard let number = Int32(text), number >= 0 else {
      throw UsageError("illegal \(name) specified")
    }
    return UInt32(number)
  }

  func invocation(leftovers: [String]) throws(UsageError) -> Invocation {
    var leftovers = leftovers[...]
    var timeouts = Timeouts(tcp: 0, tcpFin: 0, udp: 0)
    if command == .set {
      guard leftovers.count >= 3 else {
        throw UsageError("--set option requires 3 timeout values")
      }
      timeouts.tcp = try seconds(leftovers.removeFirst())
      timeouts.tcpFin = try seconds(leftovers.removeFirst())
      timeouts.udp = try seconds(leftovers.removeFirst())
    }
    if let word = leftovers.first { throw UsageError("unexpected argument \(word)") }
    // ipvsadm looks at flags before it looks whether the command takes any.
    let flags = try SchedulerFlags(ipvsadm: flagNames, for: scheduler ?? "wlc")
    try OptionRules.check(given, for: command)
    switch command {
    case .add:
      return .change(
        .addService(
          service: try serviceKey(), scheduler: try chosen(), flags: flags,
          persistence: persistence, isOnePacket: isOnePacket))
    case .edit:
      return .change(
        .editService(
          service: try serviceKey(), scheduler: try chosen(), flags: flags,
          persistence: persistence, isOnePacket: isOnePacket))
    case .delete: return .change(.deleteService(service: key!))
    case .addServer:
      return .change(
        .addRealServer(
          service: key!, realServer: try forwardedServer(), weight: weight, thresholds: thresholds))
    case .editServer:
      return .change(
        .editRealServer(
          service: key!, realServer: try forwardedServer(), weight: weight, thresholds: thresholds))
    case .deleteServer:
      let server = RealServerAddress(
        address: realServer!.address, port: realServer!.port ?? key!.port)
      return .change(.deleteRealServer(service: key!, realServer: server))
    case .clear: return .change(.clear)
    case .zero: return .change(.zero(service: key))
    case .set: return .change(.setTimeouts(timeouts))
    case .list: return .list(try listing(), numeric: given.contains(.numeric))
    case .save: return .save(numeric: given.contains(.numeric))
    case .restore: return .restore
    }
  }

  /// Port 0, all ports, where none was given.
  private var key: VirtualServiceKey? {
    service.map {
      VirtualServiceKey(address: $0.address, ipProtocol: ipProtocol, port: $0.port ?? Port(0))
    }
  }

  private var thresholds: ConnectionThresholds? {
    upperThreshold == 0 && lowerThreshold == 0
      ? nil : ConnectionThresholds(upper: upperThreshold, lower: lowerThreshold)
  }

  private var isOnePacket: Bool? { given.contains(.onePacket) ? true : nil }

  private func serviceKey() throws(UsageError) -> VirtualServiceKey {
    guard key!.port != Port(0) || persistence != nil else {
      throw UsageError("Zero port specified for non-persistent service")
    }
    guard isOnePacket == nil || ipProtocol == .udp else {
      throw UsageError("One-Packet Scheduling is only for UDP virtual services")
    }
    return key!
  }

  private func chosen() throws(UsageError) -> Scheduler {
    let name = scheduler ?? "wlc"
    if let scheduler = Scheduler(rawValue: name) { return scheduler }
    let notFound = "Scheduler or persistence engine not found"
    guard missingSchedulers.contains(name) else { throw UsageError(notFound, exitCode: 255) }
    throw UsageError(
      "\(notFound): \(name) is not available, give another or none", exitCode: 255)
  }

  /// Direct routing cannot translate ports: as in ipvsadm the service's counts, whatever is given.
  private func forwardedServer() throws(UsageError) -> RealServerAddress {
    switch (key!.address, realServer!.address) {
    case (.v4, .v4), (.v6, .v6):
      return RealServerAddress(address: realServer!.address, port: key!.port)
    default:
      throw UsageError("Different address family is allowed only for tunneling servers")
    }
  }

  private func listing() throws(UsageError) -> Listing {
    let isReport = given.contains(.connection) || given.contains(.timeout)
    guard !isReport || given.isDisjoint(with: [.stats, .rate, .thresholds]) else {
      throw UsageError("options conflicts in the list command")
    }
    let listsClients = given.contains(.persistentConn)
    guard !listsClients || !given.contains(.timeout) else {
      throw UsageError("options conflicts in the list command")
    }
    if given.contains(.connection) { return .connections(hasEngines: listsClients) }
    if given.contains(.timeout) { return .timeouts }
    let isExact = given.contains(.exact)
    let columns: Listing.Columns =
      given.contains(.stats)
      ? .statistics(isExact: isExact)
      : given.contains(.rate)
        ? .rates(isExact: isExact)
        : given.contains(.thresholds) ? .thresholds : listsClients ? .clients : .configuration
    return .services(key, columns: columns, isSorted: !given.contains(.nosort))
  }

  /// At most 31 days, ipvsadm's `MAX_TIMEOUT`.
  private func seconds(_ text: String, from least: UInt32 = 0) throws(UsageError) -> UInt32 {
    guard let seconds = UInt32(text), (least...86_400 * 31).contains(seconds) else {
      throw UsageError("invalid timeout value `\(text)' specified")
    }
    return seconds
  }
}

/// Schedulers that ipvsadm 1.31 names and Martinet has not.
private let missingSchedulers: Set<String> = ["lblc", "lblcr"]
