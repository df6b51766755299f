// SPDX-License-Identifier: Apache-2.0

/// What begins with a packet of one event, 16 octets.
struct Beginning: BitwiseCopyable {
  /// A connection in the words of `ConnectionLoads`.
  let load: UInt64
  /// The record of no real server, begun at tick 0, its birth unset.
  private let record: UInt64

  init(with event: ConnectionEvent, _ states: StateTable) {
    let state = ConnectionState.none.next(on: event).rawValue
    load = ConnectionLoads.unit(of: state)
    record =
      ConnectionMeta(
        realServer: 0, state: state, expiry: Tick(rawValue: states.row(state).idleMilliseconds)
      ).rawValue
  }

  @inline(__always) func meta(_ realServer: UInt16, _ now: Tick) -> ConnectionMeta {
    let birth = UInt64(BirthStamp(at: now).rawValue) &<< 24
    return ConnectionMeta(
      rawValue: record &+ UInt64(now.rawValue) &<< 32 | birth | UInt64(realServer))
  }
}
