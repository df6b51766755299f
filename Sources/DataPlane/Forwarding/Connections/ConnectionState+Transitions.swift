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

/// What a packet does to its connection's record: the next state in the low five bits. The high bit
/// sends the packet out of line: the state changes, or it is a SYN, which may schedule anew.
struct StateTransition: BitwiseCopyable {
  let rawValue: UInt8

  private static let outOfLine: UInt8 = 0x80

  @inline(__always) init(rawValue: UInt8) { self.rawValue = rawValue }

  init(from state: ConnectionState, on event: ConnectionEvent) {
    let next = state.next(on: event)
    let isRare = next != state || event.isSYN
    rawValue = next.rawValue | (isRare ? Self.outOfLine : 0)
  }

  @inline(__always) var staysInLine: Bool { rawValue & Self.outOfLine == 0 }
  @inline(__always) var nextState: UInt8 { rawValue & (ConnectionState.limit - 1) }
}

/// What the packet loop knows of the states, a cache line each: a transition per event, then how
/// long an idle connection is kept.
struct StateTable: BitwiseCopyable {
  static let byteCount = Int(ConnectionState.limit) * rowBytes
  private static let rowBytes = 64
  private static let lifetimeOffset = Int(ConnectionEvent.limit)

  private let base: UnsafeMutableRawPointer

  init(at base: UnsafeMutableRawPointer) { self.base = base }

  /// One state.
  struct Row: BitwiseCopyable {
    fileprivate let base: UnsafeMutableRawPointer

    @inline(__always) func transition(on event: ConnectionEvent) -> StateTransition {
      StateTransition(rawValue: base.load(fromByteOffset: Int(event.rawValue), as: UInt8.self))
    }

    /// From the next tick to when an idle connection expires, in the place of a record's expiry:
    /// milliseconds in the high half, zero in the low one.
    @inline(__always) var lifetimeFromNext: UInt64 {
      base.load(fromByteOffset: StateTable.lifetimeOffset, as: UInt64.self)
    }

    @inline(__always) var idleMilliseconds: UInt32 {
      UInt32(truncatingIfNeeded: lifetimeFromNext &>> 32) &+ 1
    }
  }

  @inline(__always) func row(_ state: UInt8) -> Row {
    Row(base: base + Int(state & (ConnectionState.limit - 1)) &* Self.rowBytes)
  }

  func fill(_ timeouts: ConnectionTimeouts) {
    for state in ConnectionState.allCases {
      let row = row(state.rawValue).base
      for event in ConnectionEvent.all {
        let transition = StateTransition(from: state, on: event)
        row.storeBytes(
          of: transition.rawValue, toByteOffset: Int(event.rawValue), as: UInt8.self)
      }
      row.storeBytes(
        of: UInt64(timeouts[state].boundedMilliseconds &- 1) << 32,
        toByteOffset: Self.lifetimeOffset, as: UInt64.self)
    }
  }
}
