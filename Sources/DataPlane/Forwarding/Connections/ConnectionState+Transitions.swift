// SPDX-License-Identifier: Apache-2.0

extension ConnectionState {
  /// `tcp_states` of the kernel's ip_vs_proto_tcp.c for a director that sees one direction
  /// (its INPUT-ONLY rows), a column per state from `.none` to `.synAck`.
  private static let inputOnly: [[ConnectionState]] = [
    /* SYN */
    [
      .synReceived, .established, .established, .synReceived, .synReceived, .synReceived,
      .synReceived, .synReceived, .synReceived, .synReceived, .synReceived,
    ],
    /* FIN */
    [
      .close, .finWait, .synSent, .timeWait, .finWait, .timeWait, .close, .closeWait, .lastAck,
      .listen, .timeWait,
    ],
    /* ACK */
    [
      .established, .established, .synSent, .established, .finWait, .timeWait, .close, .closeWait,
      .close, .listen, .established,
    ],
    /* RST */
    [
      .close, .close, .close, .synReceived, .close, .close, .close, .close, .lastAck, .listen,
      .close,
    ],
  ]

  /// The state after `event`; packets of another protocol do not occur and change nothing.
  public func next(on event: ConnectionEvent) -> ConnectionState {
    if let chunk = event.chunk { return next(on: chunk) }
    if self == .udp || event == .datagram { return .udp }
    guard let flag = event.decidingFlag else { return .close }
    let row = Self.inputOnly[flag.rawValue]
    return Int(rawValue) < row.count ? row[Int(rawValue)] : self
  }
}

/// What a packet does to its connection's record, as the packet loop reads it: one octet per
/// (event, state), a row of `ConnectionState.limit` per event.
///
/// The low five bits are the next state. The high bit sends the packet out of line: the state
/// changes, or it is a SYN, which may schedule anew.
struct StateTransition: BitwiseCopyable {
  let rawValue: UInt8

  static let tableBytes = Int(ConnectionEvent.limit) * Int(ConnectionState.limit)
  private static let outOfLine: UInt8 = 0x80

  @inline(__always) init(rawValue: UInt8) { self.rawValue = rawValue }

  private init(from state: ConnectionState, on event: ConnectionEvent) {
    let next = state.next(on: event)
    let isRare = next != state || event.isSYN
    rawValue = next.rawValue | (isRare ? Self.outOfLine : 0)
  }

  @inline(__always) var staysInLine: Bool { rawValue & Self.outOfLine == 0 }
  @inline(__always) var nextState: UInt8 { rawValue & (ConnectionState.limit - 1) }

  /// Offset of (event, state) in the table.
  @inline(__always) static func offset(event: UInt8, state: UInt8) -> Int {
    Int(event) &* Int(ConnectionState.limit) &+ Int(state & (ConnectionState.limit - 1))
  }

  static func fillTable(at table: UnsafeMutableRawPointer) {
    for event in ConnectionEvent.all {
      for state in ConnectionState.allCases {
        let transition = StateTransition(from: state, on: event)
        table.storeBytes(
          of: transition.rawValue,
          toByteOffset: offset(event: event.rawValue, state: state.rawValue), as: UInt8.self)
      }
    }
  }
}
