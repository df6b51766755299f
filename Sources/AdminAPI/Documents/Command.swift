// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// A change of the director's state: what ipvsadm's commands and the API's methods come down to.
public enum Command: Hashable, Sendable, Codable {
  /// `flags`, `persistence`: none where they are left out; `isOnePacket`: not where it is left out;
  /// `policy`: what is left out has its default, and stays as it is where a service is edited.
  case addService(
    service: VirtualServiceKey, scheduler: Scheduler, flags: SchedulerFlags? = nil,
    persistence: Persistence? = nil, isOnePacket: Bool? = nil, policy: ServicePolicyChange? = nil)
  case editService(
    service: VirtualServiceKey, scheduler: Scheduler, flags: SchedulerFlags? = nil,
    persistence: Persistence? = nil, isOnePacket: Bool? = nil, policy: ServicePolicyChange? = nil)
  case setPolicy(service: VirtualServiceKey, policy: ServicePolicyChange)
  case deleteService(service: VirtualServiceKey)
  /// `thresholds`: no limit where they are left out.
  case addRealServer(
    service: VirtualServiceKey, realServer: RealServerAddress, weight: UInt32,
    thresholds: ConnectionThresholds? = nil)
  case editRealServer(
    service: VirtualServiceKey, realServer: RealServerAddress, weight: UInt32,
    thresholds: ConnectionThresholds? = nil)
  case deleteRealServer(service: VirtualServiceKey, realServer: RealServerAddress)
  case clear
  /// Counts one service's statistics anew, or all.
  case zero(service: VirtualServiceKey?)
  case setTimeouts(Timeouts)
  /// What a firewall mark stands for: ports more, and less.
  case addToMark(mark: FirewallMark, ports: VirtualPorts)
  case removeFromMark(mark: FirewallMark, ports: VirtualPorts)
}

/// A real server within a service.
public struct RealServerAddress: Hashable, Sendable, Codable {
  public var address: IPAddress
  public var port: Port

  public init(address: IPAddress, port: Port) {
    self.address = address
    self.port = port
  }
}

/// A real server's limits of connections: at `upper` it is overloaded and gets no new ones, below
/// `lower`, or three quarters of `upper` where that is 0, it is overloaded no longer. An `upper` of
/// 0 is no limit.
public struct ConnectionThresholds: Hashable, Sendable, Codable {
  public var upper: UInt32
  public var lower: UInt32

  public init(upper: UInt32 = 0, lower: UInt32 = 0) {
    self.upper = upper
    self.lower = lower
  }
}

/// Seconds that an idle connection is kept: established TCP, TCP after a FIN, UDP. In a command
/// 0 keeps the present value.
public struct Timeouts: Hashable, Sendable, Codable {
  public var tcp: UInt32
  public var tcpFin: UInt32
  public var udp: UInt32

  public init(tcp: UInt32, tcpFin: UInt32, udp: UInt32) {
    self.tcp = tcp
    self.tcpFin = tcpFin
    self.udp = udp
  }
}

extension Command {
  /// What `ipvs_strerror` of libipvs 1.31 says where the kernel refuses this command with
  /// `errorNumber` for a reason of its own; nil where ipvsadm only has general words.
  public func ipvsadmMessage(errorNumber: Int32) -> String? {
    switch (self, errorNumber) {
    case (.addService, existsError): "Service already exists"
    case (.addRealServer, existsError): "Destination already exists"
    case (.addRealServer, noSuchServiceError), (.editRealServer, noSuchServiceError),
      (.deleteRealServer, noSuchServiceError):
      "Service not defined"
    case (_, noSuchServiceError): "No such service"
    case (.editRealServer, noEntryError), (.deleteRealServer, noEntryError):
      "No such destination"
    default: nil
    }
  }
}

/// `EEXIST`, `ESRCH` and `ENOENT` of Linux, as ip_vs_ctl.c returns them.
private let existsError: Int32 = 17
private let noSuchServiceError: Int32 = 3
private let noEntryError: Int32 = 2
