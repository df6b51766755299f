// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What the director needs of the workers: `WorkerGroup` is one.
public protocol ForwardingPlane: Sendable {
  /// Hands a snapshot to every worker and keeps it alive until all have taken a later one.
  func publish(_ snapshot: Snapshot)

  /// The oldest generation that a worker forwards by.
  var adoptedGeneration: UInt64 { get }

  /// Every worker has looked at all its connections since it adopted this generation.
  var sweptGeneration: UInt64 { get }

  /// Opens the way from the interfaces to the workers for the packets to these ports. Doing so
  /// twice is doing it once.
  func open(_ ports: VirtualPorts) throws

  /// Closes it: the kernel sees the packets again, except those to ports that are open otherwise.
  func close(_ ports: VirtualPorts) throws

  /// Why a worker gave up, in a sentence; nil while all are well.
  var failure: String? { get }

  /// One per worker.
  var views: [ForwarderView] { get }

  /// Clients of persistent services, of all workers.
  var templates: Templates { get }

  /// One per receive queue.
  var queueStatistics: [QueueStatistics] { get }

  /// An interface has another MAC address: what is sent to it is to be forwarded.
  func setMACAddress(_ macAddress: MACAddress, of egress: EgressIndex) throws

  /// What the eBPF program decided.
  var programCounters: ProgramCounters { get }

  /// What packets leave by, by `EgressIndex`.
  var egresses: [Egress] { get }
}

/// An interface that packets leave by.
public struct Egress: Hashable, Sendable {
  public var name: String
  public var macAddress: MACAddress
  public var mtu: Int

  public init(name: String, macAddress: MACAddress, mtu: Int) {
    self.name = name
    self.macAddress = macAddress
    self.mtu = mtu
  }
}

extension WorkerGroup: ForwardingPlane {
  public var egresses: [Egress] {
    interfaces.map { Egress(name: $0.name, macAddress: $0.macAddress, mtu: $0.mtu) }
  }
}
