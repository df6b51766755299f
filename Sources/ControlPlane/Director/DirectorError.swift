// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// Why a command was refused; the state is unchanged. Each has one sentence (cause and mend) and
/// the errno with which the kernel's IPVS refuses the same, so that ipvsadm's words can be printed.
public enum DirectorError: Error, Hashable, Sendable {
  case serviceExists(VirtualServiceKey)
  case noSuchService(VirtualServiceKey)
  case realServerExists(IPAddress, VirtualServiceKey)
  case noSuchRealServer(IPAddress, VirtualServiceKey)
  /// In no service.
  case unknownRealServer(IPAddress)
  case notDraining(IPAddress)
  case unsupportedProtocol(VirtualServiceKey)
  case portZero(VirtualServiceKey)
  case onePacketTCP(VirtualServiceKey)
  case markZero
  /// Ports are a part of what a mark stands for already.
  case portsOverlap(VirtualPorts, VirtualPorts, FirewallMark)
  case noSuchPorts(VirtualPorts, FirewallMark)
  /// All numbers of a mark's VIPs are given out.
  case tooManyVIPs(FirewallMark)
  case notUnicast(IPAddress)
  case addressFamilyMismatch(IPAddress, VirtualServiceKey)
  case portMismatch(Port, VirtualServiceKey)
  case weightOutOfRange(UInt32)
  case timeoutOutOfRange(UInt32)
  case persistenceOutOfRange(UInt32)
  /// An IPv6 mask whose ones are not all in front.
  case notAMask(IPv6Address)
  case maskFamilyMismatch(IPAddress, VirtualServiceKey)
  case thresholdsCross(lower: UInt32, upper: UInt32)
  /// The real server's address belongs to the director itself.
  case ownAddress(IPAddress)
  /// The route to the real server leads through a gateway.
  case behindGateway(IPAddress, gateway: IPAddress)
  /// The real server is on a link that this director does not forward to.
  case otherInterface(IPAddress, interface: String, expected: String)
  case noRoute(IPAddress)
  case tooManyServices(limit: Int)
  case tooManyRealServers(limit: Int)
  /// A system call or table of the forwarding plane failed: the sentence says which and why.
  case system(String)

  /// The errno of ip_vs_ctl.c for the same cause.
  public var errorNumber: Int32 {
    switch self {
    case .serviceExists, .realServerExists, .portsOverlap: EEXIST
    case .noSuchService: ESRCH
    case .noSuchRealServer, .noSuchPorts, .unknownRealServer, .notDraining: ENOENT
    case .weightOutOfRange, .thresholdsCross: ERANGE
    case .tooManyServices, .tooManyRealServers, .tooManyVIPs: ENOMEM
    case .unsupportedProtocol: EPROTONOSUPPORT
    case .portZero, .onePacketTCP, .markZero, .notUnicast, .addressFamilyMismatch, .portMismatch,
      .timeoutOutOfRange, .persistenceOutOfRange, .notAMask, .maskFamilyMismatch, .ownAddress,
      .behindGateway, .otherInterface, .noRoute:
      EINVAL
    case .system: EIO
    }
  }
}

extension DirectorError: ExplainedError {
  public var explanation: (cause: String, mend: String?) {
    switch self {
    case .serviceExists(let key):
      ("service \(key) already exists", "edit it instead")
    case .noSuchService(let key):
      ("there is no service \(key)", "add it first")
    case .realServerExists(let address, let key):
      ("real server \(address) is already in service \(key)", "edit it instead")
    case .noSuchRealServer(let address, let key):
      ("there is no real server \(address) in service \(key)", "add it first")
    case .unknownRealServer(let address):
      ("no service has a real server \(address)", "give one that `ipvsadm -Ln` lists")
    case .notDraining(let address):
      ("\(address) does not drain there", "`martinet drain list` has those that do")
    case .unsupportedProtocol(let key):
      ("\(key) cannot be served", "services are of TCP, UDP or SCTP, marks of TCP or UDP")
    case .portZero(let key):
      (
        "service \(key) has port 0, all ports, which needs persistence",
        "give it, or name a port"
      )
    case .onePacketTCP(let key):
      ("one-packet scheduling is for UDP, not for \(key)", "leave it out")
    case .markZero:
      ("mark 0 is no mark", "give 1 to 4294967295")
    case .portsOverlap(let ports, let taken, let mark):
      ("\(ports) overlaps \(taken), which is in mark \(mark.rawValue)", "remove that first")
    case .noSuchPorts(let ports, let mark):
      ("mark \(mark.rawValue) does not have \(ports)", "name ports as they were added")
    case .tooManyVIPs(let mark):
      ("mark \(mark.rawValue) has had 65536 VIPs", "start again, or use another mark")
    case .notUnicast(let address):
      ("\(address) is not a unicast host address", "give one that a host can own")
    case .addressFamilyMismatch(let address, let key):
      (
        "\(address) and service \(key) are of different IP versions, between which direct routing "
          + "cannot translate", "give a real server of the service's version"
      )
    case .portMismatch(let port, let key):
      (
        "direct routing cannot translate ports",
        "give the real server port \(key.port.rawValue) of service \(key) instead of "
          + "\(port.rawValue)"
      )
    case .weightOutOfRange(let weight):
      (
        "weight \(weight) is out of range", "give 0 to \(RealServerConfiguration.largestWeight)"
      )
    case .timeoutOutOfRange(let seconds):
      ("timeout \(seconds) s is out of range", "give at most \(TimeoutConfiguration.largest)")
    case .persistenceOutOfRange(let seconds):
      (
        "a persistence of \(seconds) s is out of range",
        "give 1 to \(Persistence.largestTimeoutSeconds)"
      )
    case .notAMask(let mask):
      (
        "\(mask) is not the mask of a prefix",
        "give one whose ones are in front, as ffff:ffff::"
      )
    case .maskFamilyMismatch(let mask, let key):
      (
        "mask \(mask) and service \(key) are of different IP versions",
        "give a mask of the service's"
      )
    case .thresholdsCross(let lower, let upper):
      (
        "the lower threshold \(lower) is above the upper threshold \(upper)",
        "give at most that, or 0 for three quarters of it"
      )
    case .ownAddress(let address):
      (
        "\(address) is an address of this director, which cannot be its own real server yet",
        "give another host's"
      )
    case .behindGateway(let address, let gateway):
      (
        "direct routing needs one LAN: \(address) is behind gateway \(gateway)",
        "give an address on the director's own network"
      )
    case .otherInterface(let address, let interface, let expected):
      (
        "real server \(address) is reached by \(interface), but this director forwards on "
          + "\(expected) only", "give an address on that network"
      )
    case .noRoute(let address):
      (
        "there is no route to \(address)",
        "give the director an address on the real server's network"
      )
    case .tooManyServices(let limit):
      (
        "all \(limit) service numbers are in use",
        "delete services, and wait two minutes for their numbers to be free"
      )
    case .tooManyRealServers(let limit):
      (
        "all \(limit) real server numbers are in use",
        "delete real servers, and wait two minutes for their numbers to be free"
      )
    case .system(let sentence):
      (sentence, nil)
    }
  }
}

extension VirtualServiceKey: CustomStringConvertible {
  /// `TCP 192.0.2.1:80`, `UDP [2001:db8::1]:53`, `FWM 1`, `FWM 1 IPv6`.
  public var description: String {
    guard let mark else { return "\(ipProtocol.name) \(address.inBrackets):\(port.rawValue)" }
    return if case .v6 = address { "FWM \(mark.rawValue) IPv6" } else { "FWM \(mark.rawValue)" }
  }
}

extension VirtualPorts: CustomStringConvertible {
  /// `TCP 192.0.2.1:80-90`, `UDP [2001:db8::1]:53`; all ports are `0`.
  public var description: String {
    "\(ipProtocol.name) \(address.inBrackets):\(ports.portText)"
  }
}

extension IPProtocol {
  fileprivate var name: String {
    switch self {
    case .tcp: "TCP"
    case .udp: "UDP"
    case .sctp: "SCTP"
    default: "protocol \(rawValue)"
    }
  }
}

extension IPAddress {
  fileprivate var inBrackets: String {
    switch self {
    case .v4(let address): "\(address)"
    case .v6(let address): "[\(address)]"
    }
  }
}
