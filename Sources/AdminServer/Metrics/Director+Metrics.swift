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
    text.describe(queues())
    text.describe(programCounters())
    return text.text
  }
}

extension MetricsText {
  fileprivate mutating func describeTables(
    generation: UInt64, applySeconds: Double, neighborEvents: [NeighborChange: UInt64]
  ) {
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
  }

  fileprivate mutating func describe(_ drains: [DrainStatus]) {
    func perDrain(_ name: String, _ help: String, _ value: (DrainStatus) -> UInt64?) {
      let family = family("martinet_drain_\(name)", .gauge, help)
      for drain in drains {
        guard let value = value(drain) else { continue }
        add(
          value,
          ["service": "\(drain.service)", "real_server": "\(drain.realServer.address)"],
          to: family)
      }
    }
    perDrain("connections", "Connections left on a real server that drains.", \.connections)
    perDrain("elapsed_seconds", "Since the drain began.", \.elapsedSeconds)
    perDrain("deadline_seconds", "Until what is left comes to its end.", \.secondsToDeadline)
  }

  fileprivate mutating func describe(_ queues: [QueueStatistics]) {
    for counter in QueueCounter.allCases {
      let family = family(
        "martinet_queue_\("\(counter)".snakeCased)_total", .counter, counter.help)
      for queue in queues {
        add(queue.worker[counter] ?? 0, ["queue": "\(queue.queue)"], to: family)
      }
    }
    let drops = family(
      "martinet_dropped_packets_total", .counter, "Packets that were not forwarded, by reason.")
    for queue in queues {
      for reason in DropReason.allCases {
        let labels: Labels = [
          "queue": "\(queue.queue)", "reason": "\(reason)".snakeCased,
          "normal": "\(reason.isNormal)",
        ]
        add(queue.drops[reason] ?? 0, labels, to: drops)
      }
    }
    let side = family(
      "martinet_side_packets_total", .counter, "ICMP errors, fragments and answers, by kind.")
    for queue in queues {
      for kind in SideTraffic.allCases {
        add(
          queue.sideTraffic[kind] ?? 0,
          ["queue": "\(queue.queue)", "kind": "\(kind)".snakeCased], to: side)
      }
    }
    let connections = family(
      "martinet_connections", .gauge, "Records in the queue's connection tables.")
    for queue in queues {
      let name = "\(queue.queue)"
      add(queue.ipv4Connections, ["queue": name, "family": "ipv4"], to: connections)
      add(queue.ipv6Connections, ["queue": name, "family": "ipv6"], to: connections)
    }
    describeOverload(queues)
    describeSockets(queues)
  }

  private mutating func describeOverload(_ queues: [QueueStatistics]) {
    let room = family(
      "martinet_connection_entries", .gauge, "Records that the queue's tables have room for.")
    for queue in queues {
      let name = "\(queue.queue)"
      add(queue.ipv4Entries, ["queue": name, "family": "ipv4"], to: room)
      add(queue.ipv6Entries, ["queue": name, "family": "ipv6"], to: room)
    }
    let unrecorded = family(
      "martinet_unrecorded_packets_total", .counter,
      "Packets forwarded by hash because the table was full where they belong.")
    for queue in queues { add(queue.unrecorded, ["queue": "\(queue.queue)"], to: unrecorded) }
    let evicted = family(
      "martinet_evicted_connections_total", .counter,
      "Half-open connections that yielded to new ones, by the seconds their clients were silent.")
    for queue in queues {
      for (bound, count) in zip(EvictionAges.boundsSeconds, queue.evictions.counts) {
        add(count, ["queue": "\(queue.queue)", "silent_below": "\(bound)"], to: evicted)
      }
    }
  }

  /// `XDP_STATISTICS` of linux/if_xdp.h.
  private mutating func describeSockets(_ queues: [QueueStatistics]) {
    let figures: [(String, String, (XDPStatistics) -> UInt64)] = [
      ("rx_dropped", "Packets lost for want of a frame or of room in it.", \.rxDropped),
      ("rx_ring_full", "Packets lost because the RX ring was full.", \.rxRingFull),
      ("fill_ring_empty", "Times the kernel found no frame to fill.", \.fillRingEmpty),
      ("tx_ring_empty", "Times the kernel found nothing to send.", \.txRingEmpty),
      ("rx_invalid_descriptors", "Fill ring entries that were wrong.", \.rxInvalidDescriptors),
      ("tx_invalid_descriptors", "TX ring entries that were wrong.", \.txInvalidDescriptors),
    ]
    for (name, help, value) in figures {
      let family = family("martinet_socket_\(name)_total", .counter, help)
      for queue in queues { add(value(queue.socket), ["queue": "\(queue.queue)"], to: family) }
    }
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

extension QueueCounter {
  fileprivate var help: String {
    switch self {
    case .received: "Packets taken from the RX ring."
    case .forwarded: "Packets sent to a real server."
    case .answered: "Packets that the director answered itself."
    case .dropped: "Packets that were not forwarded: their reasons are counted apart."
    case .held: "Fragments kept because they came before their first one."
    case .released: "Kept fragments whose first one came in time."
    case .batches: "Batches of at least one packet."
    case .transmitFull: "Turns that took less than there was because the TX ring was full."
    case .completed: "Frames that the kernel has sent."
    case .transmitWakeups: "System calls that woke the kernel to send."
    case .fillWakeups: "System calls that woke the driver to fill."
    case .transmitAgain: "Wakeups that the kernel asked to repeat."
    case .transmitLost: "Packets that the driver dropped while it sent."
    case .linkDown: "Wakeups that found the interface down."
    case .sleeps: "Times the worker slept because nothing came."
    }
  }
}
