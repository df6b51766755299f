// SPDX-License-Identifier: Apache-2.0

/// What the eBPF program did with packets for VIPs since the director started (bpf/README.md).
public struct ProgramReport: Hashable, Sendable, Codable {
  /// Packets of services handed to a worker.
  public var services: UInt64
  /// Fragments of a VIP's packets handed to a worker.
  public var fragments: UInt64
  /// ICMP errors for a VIP handed to a worker.
  public var icmpErrors: UInt64
  /// Lost: their receive queue has no worker.
  public var withoutSocket: UInt64
  /// Left to the kernel: another machine's MAC address.
  public var otherHost: UInt64
  /// Left to the kernel: no whole header.
  public var malformed: UInt64

  public init(
    services: UInt64, fragments: UInt64, icmpErrors: UInt64, withoutSocket: UInt64,
    otherHost: UInt64, malformed: UInt64
  ) {
    self.services = services
    self.fragments = fragments
    self.icmpErrors = icmpErrors
    self.withoutSocket = withoutSocket
    self.otherHost = otherHost
    self.malformed = malformed
  }
}
