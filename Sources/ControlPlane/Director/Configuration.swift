// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What `ipvsadm -A` and `-E` say about a virtual service.
public struct ServiceConfiguration: Hashable, Sendable {
  public var key: VirtualServiceKey
  public var scheduler: Scheduler
  public var flags: SchedulerFlags
  public var persistence: Persistence?
  /// `-o`: every datagram is scheduled by itself and leaves no record; for UDP only.
  public var isOnePacket: Bool
  /// What ipvsadm has no words for.
  public var policy: ServicePolicy

  /// - Parameter policy: nil for the protocol's own.
  public init(
    key: VirtualServiceKey, scheduler: Scheduler, flags: SchedulerFlags = [],
    persistence: Persistence? = nil, isOnePacket: Bool = false, policy: ServicePolicy? = nil
  ) {
    self.key = key
    self.scheduler = scheduler
    self.flags = flags
    self.persistence = persistence
    self.isOnePacket = isOnePacket
    self.policy = policy ?? ServicePolicy(for: key.ipProtocol)
  }
}

/// How a real server is reached: `-g`, direct routing, changes nothing but MAC addresses.
public enum ForwardingMethod: Hashable, Sendable {
  case directRouting
}

/// What `ipvsadm -a` and `-e` say about a real server of a service.
public struct RealServerConfiguration: Hashable, Sendable {
  public var address: IPAddress
  /// The service's own port: direct routing cannot translate it.
  public var port: Port
  /// 0…2147483647 as ipvsadm takes it; 0 takes no new connections.
  public var weight: UInt32
  /// So many connections overload it: it gets no new ones; 0 for no limit.
  public var upperThreshold: UInt32
  /// Below so many the overload ends, at most the upper threshold; 0 for three quarters of it.
  public var lowerThreshold: UInt32
  public var forwarding: ForwardingMethod

  public static let largestWeight: UInt32 = 2_147_483_647

  public init(
    address: IPAddress, port: Port, weight: UInt32 = 1, upperThreshold: UInt32 = 0,
    lowerThreshold: UInt32 = 0,
    forwarding: ForwardingMethod = .directRouting
  ) {
    self.address = address
    self.port = port
    self.weight = weight
    self.upperThreshold = upperThreshold
    self.lowerThreshold = lowerThreshold
    self.forwarding = forwarding
  }
}

/// The three values of `ipvsadm --set`, in seconds: ESTABLISHED, FIN_WAIT and UDP.
public struct TimeoutConfiguration: Hashable, Sendable {
  public var tcp: UInt32
  public var tcpFin: UInt32
  public var udp: UInt32

  /// `INT_MAX / HZ` of ip_vs_set_timeout in ip_vs_ctl.c at HZ 1000, so that ticks do not wrap.
  public static let largest: UInt32 = 2_147_483

  public init(tcp: UInt32, tcpFin: UInt32, udp: UInt32) {
    self.tcp = tcp
    self.tcpFin = tcpFin
    self.udp = udp
  }
  /// What the kernel starts with (`tcp_timeouts`, `udp_timeouts` of ip_vs_proto_*.c).
  public static let lvs = TimeoutConfiguration(tcp: 900, tcpFin: 120, udp: 300)
}
