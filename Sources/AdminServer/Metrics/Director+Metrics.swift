// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import DataPlane

extension Director {
  /// All that the director counts, in Prometheus' text format.
  func metrics() -> String {
    var text = MetricsText()
    text.describeTables(
      generation: snapshotGeneration, applySeconds: snapshotApplySeconds,
      neighborEvents: neighborEvents)
    let capacity = text.family(
      "martinet_connection_capacity", .gauge, "Room for connections, all queues together.")
    text.add(connectionCapacity, to: capacity)
    text.describe(serviceStatuses())
    text.describe(checkStatuses())
    text.describe(drains())
    text.describe(neighborStatuses())
    let queues = queues()
    text.describe(queues)
    text.describe(queues, queueRates())
    text.describe(programCounters())
    return text.text
  }
}

extension MetricsText {
  fileprivate mutating func describeTables(
    generation: UInt64, applySeconds: Double, neighborEvents: [NeighborChange: UInt64]
  ) {
    let build = family(
      "martinet_build_info", .gauge, "1: the compiler that built the director, and how.")
    add(1, ["swift": BuildInfo.compiler, "configuration": BuildInfo.configuration], to: build)
    let generations = family(
      "martinet_snapshot_generation", .gauge, "Tables that workers were given since the start.")
    add(generation, to: generations)
    let seconds = family(
      "martinet_snapshot_apply_seconds", .gauge,
      "How long the last change took from being compiled to being in use by every worker.")
    add(applySeconds, to: seconds)
    let events = family(
      "martinet_neighbor_events_total", .counter,
      "Real servers that answered, fell silent, flapped, moved or have doubles on the LAN.")
    for change in NeighborChange.allCases {
      add(neighborEvents[change] ?? 0, ["event": "\(change)".snakeCased], to: events)
    }
  }

  fileprivate mutating func describe(_ services: [ServiceStatus]) {
    let named = services.map {
      ($0, Labels(dictionaryLiteral: ("service", "\($0.configuration.key)")))
    }
    func perService(
      _ name: String, _ help: String, _ value: (Statistics) -> UInt64
    ) {
      let family = family("martinet_service_\(name)_total", .counter, help)
      for (service, labels) in named { add(value(service.statistics), labels, to: family) }
    }
    perService("connections", "Connections that were scheduled.", \.connections)
    perService("packets", "Packets that were forwarded.", \.inPackets)
    perService("bytes", "Octets of the IP packets that were forwarded.", \.inBytes)
    describeRates(of: "service", named.map { ($0.rates, $1) })

    let quorum = family(
      "martinet_service_quorum", .gauge, "0 while too few of the service's real servers are up.")
    for (service, labels) in named { add(service.hasQuorum ?? true ? 1 : 0, labels, to: quorum) }
    describeRealServers(services)
  }

  private mutating func describeRealServers(_ services: [ServiceStatus]) {
    let named = services.flatMap { service in
      let name = "\(service.configuration.key)"
      return service.realServers.map { realServer in
        let labels: Labels = [
          "service": name, "real_server": "\(realServer.configuration.address)",
        ]
        return (realServer, labels)
      }
    }
    func perRealServer(
      _ name: String, _ kind: Kind, _ help: String, _ value: (RealServerStatus) -> UInt64
    ) {
      let family = family("martinet_real_server_\(name)", kind, help)
      for (realServer, labels) in named { add(value(realServer), labels, to: family) }
    }
    perRealServer("connections_total", .counter, "Connections that were scheduled to it.") {
      $0.statistics.connections
    }
    perRealServer("packets_total", .counter, "Packets that were forwarded to it.") {
      $0.statistics.inPackets
    }
    perRealServer("bytes_total", .counter, "Octets of the IP packets forwarded to it.") {
      $0.statistics.inBytes
    }
    describeRates(of: "real_server", named.map { ($0.rates, $1) })
    perRealServer("active_connections", .gauge, "ActiveConn of ipvsadm.", \.activeConnections)
    perRealServer("inactive_connections", .gauge, "InActConn of ipvsadm.", \.inactiveConnections)
    perRealServer(
      "persistent_clients", .gauge, "Clients that it is remembered for.", \.persistentConnections)
    perRealServer("weight", .gauge, "Its weight now; 0 takes no new connections.") {
      UInt64($0.effectiveWeight)
    }
    perRealServer("up", .gauge, "1 unless a health check of it is down.") {
      $0.standing?.isUp ?? true ? 1 : 0
    }
    perRealServer("resolved", .gauge, "1 while it answers on the LAN.") {
      $0.neighbor.isResolved ? 1 : 0
    }
  }

  fileprivate mutating func describe(_ checks: [CheckStatus]) {
    let up = family("martinet_check_up", .gauge, "1 while the health check is up.")
    for check in checks { add(check.isUp ? 1 : 0, check.labels(), to: up) }
    let results = family("martinet_check_results_total", .counter, "Results of health checks.")
    for check in checks {
      add(check.successes, check.labels(result: "success"), to: results)
      add(check.failures, check.labels(result: "failure"), to: results)
    }
    let changes = family(
      "martinet_check_changes_total", .counter, "Times that a health check came up or went down.")
    for check in checks { add(check.changes, check.labels(), to: changes) }
    let seconds = family(
      "martinet_check_seconds_total", .counter, "How long all results of a health check took.")
    for check in checks { add(check.totalSeconds, check.labels(), to: seconds) }
  }

  fileprivate mutating func describe(_ neighbors: [NeighborStatus]) {
    func perNeighbor(
      _ name: String, _ kind: Kind, _ help: String, _ value: (NeighborStatus) -> UInt64
    ) {
      let family = family("martinet_neighbor_\(name)", kind, help)
      for neighbor in neighbors {
        add(value(neighbor), ["real_server": "\(neighbor.address)"], to: family)
      }
    }
    perNeighbor("age_seconds", .gauge, "Since it answers, is silent, or moved.", \.ageSeconds)
    perNeighbor("changes_total", .counter, "Changes of its MAC address.", \.changes)
    perNeighbor("silences_total", .counter, "Times that it fell silent.", \.silences)
    perNeighbor("flapping", .gauge, "1 while it comes and goes.") { $0.isFlapping ? 1 : 0 }
    perNeighbor("duplicate", .gauge, "1 while two hosts seem to own its address.") {
      $0.isDuplicate ? 1 : 0
    }
  }

  mutating func describe(_ drains: [DrainStatus]) {
    func perDrain(_ name: String, _ help: String, _ value: (DrainStatus) -> UInt64?) {
      let family = family("martinet_drain_\(name)", .gauge, help)
      for drain in drains {
        guard let value = value(drain) else { continue }
        add(
          value,
          [
            "service": "\(drain.service)", "real_server": "\(drain.realServer.address)",
            "then": drain.end.rawValue,
          ], to: family)
      }
    }
    perDrain("connections", "Connections left on a real server that drains.", \.connections)
    perDrain(
      "oldest_connection_seconds",
      "At least so old was the oldest of them when the tables were last looked through.",
      \.oldestSeconds)
    perDrain("elapsed_seconds", "Since the drain began.", \.elapsedSeconds)
    perDrain(
      "empty_seconds", "Until none is left, at the pace since the drain began.", \.secondsToEmpty)
    perDrain(
      "deadline_seconds", "Until what is left goes on, is forgotten or goes to others: `then`.",
      \.secondsToDeadline)
  }

  fileprivate mutating func describe(_ program: ProgramCounters) {
    let outcomes: [(String, UInt64)] = [
      ("service", program.services), ("fragment", program.fragments),
      ("icmp_error", program.icmpErrors), ("without_socket", program.withoutSocket),
      ("other_host", program.otherHost), ("malformed", program.malformed),
    ]
    let family = family(
      "martinet_program_packets_total", .counter,
      "What the eBPF program did with packets for virtual IPs.")
    for (name, value) in outcomes { add(value, ["outcome": name], to: family) }
  }
}

extension CheckStatus {
  /// The number tells checks with the same words apart.
  fileprivate func labels(result: String? = nil) -> MetricsText.Labels {
    let (check, address) = ("\(instance)", "\(instance.address)")
    guard let result else {
      return ["check": check, "number": "\(number)", "real_server": address]
    }
    return ["check": check, "number": "\(number)", "real_server": address, "result": result]
  }
}
