// SPDX-License-Identifier: Apache-2.0

/// Where in the kernel the eBPF program runs.
public enum XDPMode: String, Sendable, CaseIterable {
  /// In the driver, before a socket buffer exists.
  case native
  /// In the network stack: every driver, always copies; on a veth 0.99 of the rate of native mode
  /// (frames that are skbs anyway, bench/run wire), on a NIC each frame becomes an skb first.
  case generic
}

/// How packets get from the driver into the UMEM. A fall-back is never silent.
public enum CopyMode: Sendable {
  /// Zero copy in native mode, refused where the driver has none; copy in generic mode.
  case automatic
  case copy
  case zeroCopy
}

/// Which receive queues get a worker. A queue without one drops the packets of services.
public enum QueueSelection: Sendable, Equatable {
  case all
  /// This many from queue 0 on; the operator keeps traffic on them (`ethtool -X IF equal N`).
  case count(Int)
}

/// What the operator says about an interface.
public struct PortConfiguration: Equatable, Sendable {
  public var interface: String
  public var xdpMode: XDPMode
  public var copyMode: CopyMode
  public var queues: QueueSelection

  public init(
    interface: String, xdpMode: XDPMode = .native, copyMode: CopyMode = .automatic,
    queues: QueueSelection = .all
  ) {
    self.interface = interface
    self.xdpMode = xdpMode
    self.copyMode = copyMode
    self.queues = queues
  }

  /// Whether the NIC itself is to write into the UMEM.
  func isZeroCopy() throws(PortError) -> Bool {
    switch (xdpMode, copyMode) {
    case (.generic, .zeroCopy):
      throw PortError(
        .unsupported, "generic XDP always copies; give --zero-copy only with --xdp-mode native")
    case (.generic, _), (.native, .copy): return false
    case (.native, _): return true
    }
  }
}

/// What an open port is, in effect.
public struct InterfaceDescription: Sendable {
  public var name: String
  public var index: UInt32
  public var macAddress: MACAddress
  public var mtu: Int
  public var queueCount: Int
  public var xdpMode: XDPMode
  public var isZeroCopy: Bool
  /// Whether the kernel (Linux 6.17) takes more than 32 frames per wakeup in copy mode.
  public var hasTransmitBudget: Bool
}
