// SPDX-License-Identifier: Apache-2.0

/// The state of a connection as a director sees it that only sees requests.
///
/// Raw values are the kernel's (`IP_VS_TCP_S_*` in include/net/ip_vs.h); UDP has one state, SCTP
/// those of `IP_VS_SCTP_S_*`, of which the first is `none` too.
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
  case sctpInit1
  case sctpInit
  case sctpCookieSent
  case sctpCookieReplied
  case sctpCookieWait
  case sctpCookie
  case sctpCookieEchoed
  case sctpEstablished
  case sctpShutdownSent
  case sctpShutdownReceived
  case sctpShutdownAckSent
  case sctpRejected
  case sctpClosed

  /// Room for states in tables: a power of two above every raw value.
  static let limit: UInt8 = 32

  /// Whether `ipvsadm -L` counts it as active: modern kernels' `tcp_state_active_table`; of SCTP
  /// established associations, as `set_sctp_state` does.
  public var isActive: Bool {
    Self.isActive(rawValue: rawValue)
  }

  /// `isActive` by raw value, as records keep it.
  @inline(__always) static func isActive(rawValue: UInt8) -> Bool {
    let active: UInt32 =
      1 << established.rawValue | 1 << synSent.rawValue | 1 << synReceived.rawValue
      | 1 << synAck.rawValue | 1 << sctpEstablished.rawValue
    return active &>> UInt32(rawValue & (limit - 1)) & 1 != 0
  }

  @inline(__always) static func isEstablished(rawValue: UInt8) -> Bool {
    rawValue == established.rawValue || rawValue == sctpEstablished.rawValue
  }

  /// The word in the state column of `ipvsadm -Lc`.
  public var name: String {
    switch self {
    case .none: "NONE"
    case .established, .sctpEstablished: "ESTABLISHED"
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
    case .sctpInit1: "INIT1"
    case .sctpInit: "INIT"
    case .sctpCookieSent: "C-SENT"
    case .sctpCookieReplied: "C-REPLIED"
    case .sctpCookieWait: "C-WAIT"
    case .sctpCookie: "COOKIE"
    case .sctpCookieEchoed: "C-ECHOED"
    case .sctpShutdownSent: "S-SENT"
    case .sctpShutdownReceived: "S-RECEIVED"
    case .sctpShutdownAckSent: "S-ACK-SENT"
    case .sctpRejected: "REJECTED"
    case .sctpClosed: "CLOSED"
    }
  }
}

/// How long an idle connection is kept, per state, in seconds.
public struct ConnectionTimeouts: Sendable, Equatable {
  private var seconds: [UInt32]

  /// `tcp_timeouts` of ip_vs_proto_tcp.c, `udp_timeouts` of ip_vs_proto_udp.c, `sctp_timeouts` of
  /// ip_vs_proto_sctp.c.
  public static let lvs = ConnectionTimeouts(
    seconds: [2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120, 300]
      + [4, 61, 61, 61, 61, 61, 61, 900, 61, 61, 61, 4, 61])

  public subscript(state: ConnectionState) -> UInt32 {
    get { seconds[Int(state.rawValue)] }
    set { seconds[Int(state.rawValue)] = newValue }
  }
}
