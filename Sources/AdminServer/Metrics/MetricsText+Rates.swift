// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import DataPlane

/// What `ipvsadm -L --rate` shows: every two seconds the average moves a quarter of the way to the
/// last interval's rate.
extension MetricsText {
  /// - Parameter object: the word in the families' names.
  mutating func describeRates(of object: String, _ samples: [(rates: Rates, labels: Labels)]) {
    let figures: [(name: String, help: String, value: (Rates) -> UInt64)] = [
      ("connections", "New connections per second, smoothed.", \.connections),
      ("packets", "Packets per second, smoothed.", \.inPackets),
      ("bytes", "Octets of IP packets per second, smoothed.", \.inBytes),
    ]
    for (name, help, value) in figures {
      let family = family("martinet_\(object)_\(name)_per_second", .gauge, help)
      for (rates, labels) in samples { add(value(rates), labels, to: family) }
    }
  }

  /// - Parameter rates: of each of `queues`.
  mutating func describe(_ queues: [QueueStatistics], _ rates: [QueueRates]) {
    let named = zip(rates, queues.map(\.queue))
    describeRates(
      of: "queue", named.map { ($0.forwarded, ["queue": "\($1)"]) })
    let drops: [(name: String, help: String, value: (Rates) -> UInt64)] = [
      ("packets", "Packets per second that are not forwarded, smoothed, by reason.", \.inPackets),
      ("bytes", "Octets of their frames per second, smoothed.", \.inBytes),
    ]
    for (name, help, value) in drops {
      let family = family("martinet_dropped_\(name)_per_second", .gauge, help)
      for (rates, queue) in named {
        for reason in DropReason.allCases {
          add(rates.drops[reason].map(value) ?? 0, reason.labels(queue: queue), to: family)
        }
      }
    }
  }
}

extension DropReason {
  func labels(queue: Int) -> MetricsText.Labels {
    ["queue": "\(queue)", "reason": "\(self)".snakeCased, "normal": "\(isNormal)"]
  }
}
