// SPDX-License-Identifier: Apache-2.0

/// The state of a connection as a director sees it that only sees requests.
///
/// Raw values are the kernel's (`IP_VS_TCP_S_*` in include/net/ip_vs.h); UDP has one state.
public enum ConnectionState: UInt8, CaseIterable, Sendable {
  case none = 0
  case established
  case synSent
  case synReceived
  case finWait
  case timeWait
  case close
  case closeWait
  case lastAck
  case listen
  case synAck
  case udp

  /// Whether `ipvsadm -L` counts it as active: modern kernels' `tcp_state_active_table`.
  public var isActive: Bool {
    Self.isActive(rawValue: rawValue)
  }

  /// `isActive` by raw value, as records keep it.
  @inline(__always) static func isActive(rawValue: UInt8) -> Bool {
    let active: UInt16 =
      1 << established.rawValue | 1 << synSent.rawValue | 1 << synReceived.rawValue
      | 1 << synAck.rawValue
    return active &>> UInt16(rawValue & 0xf) & 1 != 0
  }

  /// The word in the state column of `ipvsadm -Lc`.
  public var name: String {
    switch self {
    case .none: "NONE"
    case .established: "ESTABLISHED"
    case .synSent: "SYN_SENT"
    case .synReceived: "SYN_RECV"
    case .finWait: "FIN_WAIT"
    case .timeWait: "TIME_WAIT"
    case .close: "CLOSE"
    case .closeWait: "CLOSE_WAIT"
    case .lastAck: "LAST_ACK"
    case .listen: "LISTEN"
    case .synAck: "SYNACK"
    case .udp: "UDP"
    }
  }
}

/// How long an idle connection is kept, per state, in seconds.
public struct ConnectionTimeouts: Sendable, Equatable {
  private var seconds: [UInt32]

  /// `tcp_timeouts` of ip_vs_proto_tcp.c and `udp_timeouts` of ip_vs_proto_udp.c.
  public static let lvs = ConnectionTimeouts(
    seconds: [2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120, 300])

  public subscript(state: ConnectionState) -> UInt32 {
    get { seconds[Int(state.rawValue)] }
    set { seconds[Int(state.rawValue)] = newValue }
  }
}
