// SPDX-License-Identifier: Apache-2.0

extension SnapshotSpecification.Service {
  /// Whether it takes more than one port.
  var isWide: Bool { key.port == Port(0) }
}

extension SnapshotSpecification {
  /// The rows of `WideServiceTable`, in its order.
  var widePorts: [WidePorts] {
    services.lazy.filter(\.isWide)
      .map { WidePorts(VirtualPorts(of: $0.key), service: $0.index, vip: 0) }
      .sorted {
        ($0.high, $0.low, $0.ipProtocol, $0.first) < ($1.high, $1.low, $1.ipProtocol, $1.first)
      }
  }
}
