// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import DataPlane

extension MetricsText {
  mutating func describe(_ queues: [QueueStatistics]) {
    for counter in QueueCounter.allCases {
      let family = family(
        "martinet_queue_\("\(counter)".snakeCased)_total", .counter, counter.help)
      for queue in queues {
        for socket in queue.sockets {
          add(socket.worker[counter] ?? 0, Self.labels(of: socket, queue), to: family)
        }
      }
    }
    describeForwarded(queues)
    describeDrops(queues)
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
    describeBatches(queues)
  }

  private mutating func describeDrops(_ queues: [QueueStatistics]) {
    let figures: [(String, String, (QueueStatistics) -> [DropReason: UInt64])] = [
      ("packets", "Packets that were not forwarded, by reason.", \.drops),
      (
        "bytes",
        "Octets of their frames, Ethernet headers included, as a malformed packet has no other "
          + "length. What the kernel drops before a worker has it counts in packets only: "
          + "martinet_program_packets_total, martinet_socket_rx_….", \.dropBytes
      ),
    ]
    for (name, help, value) in figures {
      let family = family("martinet_dropped_\(name)_total", .counter, help)
      for queue in queues {
        for reason in DropReason.allCases {
          add(value(queue)[reason] ?? 0, reason.labels(queue: queue.queue), to: family)
        }
      }
    }
  }

  private mutating func describeForwarded(_ queues: [QueueStatistics]) {
    let connections = family(
      "martinet_queue_connections_total", .counter, "Connections that were scheduled.")
    for queue in queues {
      add(queue.forwarded.connections, ["queue": "\(queue.queue)"], to: connections)
    }
    let octets = family(
      "martinet_queue_forwarded_bytes_total", .counter,
      "Octets of the IP packets sent to a real server.")
    for queue in queues { add(queue.forwarded.bytes, ["queue": "\(queue.queue)"], to: octets) }
  }

  private mutating func describeBatches(_ queues: [QueueStatistics]) {
    let figures: [(String, String, (QueueStatistics) -> DoublingHistogram, UInt64, Double)] = [
      ("batch_packets", "Packets per batch.", \.batchSizes, 1, 1),
      (
        "forwarding_seconds",
        "From taking a batch from the RX ring until the kernel is woken to send it, one in 1024.",
        \.turnTimes, QueueCounters.turnTimeUnitNanoseconds, 1e9
      ),
    ]
    for (name, help, histogram, unit, scale) in figures {
      let family = family("martinet_\(name)", .histogram, help)
      for queue in queues {
        let histogram = histogram(queue)
        let bounds = histogram.counts.indices.dropLast().map {
          Double(DoublingHistogram.bound(of: $0, unit: unit)) / scale
        }
        add(
          histogram, bounds: bounds, sum: Double(histogram.sum) / scale,
          [("queue", "\(queue.queue)")], to: family)
      }
    }
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
      for queue in queues {
        for socket in queue.sockets {
          add(value(socket.socket), Self.labels(of: socket, queue), to: family)
        }
      }
    }
  }

  private static func labels(of socket: SocketStatistics, _ queue: QueueStatistics) -> Labels {
    ["queue": "\(queue.queue)", "interface": socket.interface]
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
    case .sleeps: "Times the worker slept because nothing came by any interface; the first has it."
    }
  }
}
