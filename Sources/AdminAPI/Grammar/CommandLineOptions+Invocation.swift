// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension CommandLineOptions {
  /// What the whole line asks for; `leftovers` are its words that are no options.
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
    try OptionRules(for: command).check(given)
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
    case .startDaemon:
      throw UsageError(
        "--start-daemon: a director keeps its connections to itself, so there is no daemon to "
          + "start: leave the command out")
    case .stopDaemon: throw UsageError("No daemon is running", exitCode: 255)
    case .save: return .save(numeric: given.contains(.numeric))
    case .restore: return .restore(clearsFirst: false)
    }
  }

  /// Port 0, all ports, where none was given.
  private var key: VirtualServiceKey? {
    markService
      ?? service.map {
        VirtualServiceKey(address: $0.address, ipProtocol: ipProtocol, port: $0.port ?? Port(0))
      }
  }

  private var persistence: Persistence? {
    given.contains(.persistent)
      ? Persistence(timeoutSeconds: persistenceSeconds, mask: mask) : nil
  }

  private var thresholds: ConnectionThresholds? {
    upperThreshold == 0 && lowerThreshold == 0
      ? nil : ConnectionThresholds(upper: upperThreshold, lower: lowerThreshold)
  }

  private var isOnePacket: Bool? { given.contains(.onePacket) ? true : nil }

  private func serviceKey() throws(UsageError) -> VirtualServiceKey {
    guard key!.port != Port(0) || key!.mark != nil || persistence != nil else {
      throw UsageError("Zero port specified for non-persistent service")
    }
    guard isOnePacket == nil || key!.mark != nil || ipProtocol == .udp else {
      throw UsageError("One-Packet Scheduling is only for UDP virtual services")
    }
    return key!
  }

  private func chosen() throws(UsageError) -> Scheduler {
    let name = scheduler ?? "wlc"
    let notFound = "Scheduler or persistence engine not found"
    guard let scheduler = Scheduler(rawValue: name) else {
      throw UsageError(notFound, exitCode: 255)
    }
    if engine == "sip" {
      throw UsageError(
        "--pe: clients are known by their addresses only, not by what they say: leave it out")
    }
    guard engine.isEmpty else { throw UsageError(notFound, exitCode: 255) }
    return scheduler
  }

  /// Direct routing cannot translate ports: as in ipvsadm the service's counts, whatever is given,
  /// except where a mark has none.
  private func forwardedServer() throws(UsageError) -> RealServerAddress {
    let method = forwarding?.option.long ?? "gatewaying"
    switch (key!.address, realServer!.address) {
    case (.v4, .v4), (.v6, .v6): break
    default:
      guard method == "ipip" else {
        throw UsageError("Different address family is allowed only for tunneling servers")
      }
    }
    let tunnelOptions: Set<OptionName> = [
      .tunnelType, .tunnelPort, .tunnelWithoutChecksum, .tunnelChecksum, .tunnelRemoteChecksum,
    ]
    guard method == "ipip" || given.isDisjoint(with: tunnelOptions) else {
      throw UsageError("Tunnel options conflict with forward method")
    }
    try OptionRules(for: tunnel).check(given)
    if let forwarding, let sentence = otherMethods[method] {
      throw UsageError("\(forwarding.spelling): \(sentence): give -g, or nothing")
    }
    let ownPort = key!.mark == nil ? nil : realServer!.port
    return RealServerAddress(address: realServer!.address, port: ownPort ?? key!.port)
  }

  private func listing() throws(UsageError) -> Listing {
    let isReport = !given.isDisjoint(with: [.connection, .timeout, .daemon])
    guard !isReport || given.isDisjoint(with: [.stats, .rate, .thresholds]) else {
      throw UsageError("options conflicts in the list command")
    }
    let listsClients = given.contains(.persistentConn)
    guard !listsClients || given.isDisjoint(with: [.timeout, .daemon]) else {
      throw UsageError("options conflicts in the list command")
    }
    if given.contains(.connection) { return .connections(hasEngines: listsClients) }
    if given.contains(.timeout) { return .timeouts }
    if given.contains(.daemon) { return .daemons }
    return .services(key, columns: columns, isSorted: !given.contains(.nosort))
  }

  private var columns: Listing.Columns {
    let isExact = given.contains(.exact)
    if given.contains(.stats) { return .statistics(isExact: isExact) }
    if given.contains(.rate) { return .rates(isExact: isExact) }
    if given.contains(.thresholds) { return .thresholds }
    if given.contains(.persistentConn) { return .clients }
    return given.contains(.tunnelInfo) ? .tunnels : .configuration
  }
}

/// Why a real server cannot be reached so, by the long name of the option that asks for it.
private let otherMethods = [
  "masquerading":
    "answers never pass a direct-routing director, so it cannot translate their addresses",
  "ipip": "real servers are reached on the director's own LAN, without a tunnel",
]
