// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

@testable import DataPlane

/// The kernel's one-direction table (`sctp_states`, INPUT-ONLY rows of ip_vs_proto_sctp.c), typed
/// from it a second time in its own abbreviations.
@Suite struct SCTPStateTests {
  private static let columns: [(String, ConnectionState)] = [
    ("NO", .none), ("I1", .sctpInit1), ("IN", .sctpInit), ("CS", .sctpCookieSent),
    ("CR", .sctpCookieReplied), ("CW", .sctpCookieWait), ("CO", .sctpCookie),
    ("CE", .sctpCookieEchoed), ("ES", .sctpEstablished), ("SS", .sctpShutdownSent),
    ("SR", .sctpShutdownReceived), ("SA", .sctpShutdownAckSent), ("RJ", .sctpRejected),
    ("CL", .sctpClosed),
  ]
  private static let rows: [(ConnectionEvent.Chunk, String)] = [
    (.data, "ES I1 IN CS CR ES CO CE ES SS SR SA RJ CL"),
    (.initiation, "I1 IN IN IN IN IN CO CE ES SS SR SA IN IN"),
    (.initiationAck, "CE CE CE CE CE CE CO CE ES SS SR SA RJ CL"),
    (.cookieEcho, "ES ES ES ES ES ES CO CE ES SS SR SA RJ CL"),
    (.cookieAck, "ES I1 IN ES ES CW ES ES ES SS SR SA RJ CL"),
    (.shutdown, "SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL"),
    (.shutdownAck, "CL IN IN CS CR CW CO CE CL CL SR CL RJ CL"),
    (.shutdownComplete, "CL CL CL CL CL CW CO CE ES SS CL CL RJ CL"),
    (.error, "CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL"),
    (.abort, "CL CL CL CL CL RJ CL CL CL CL CL CL CL CL"),
  ]

  @Test func all140Cells() throws {
    #expect(Set(Self.rows.map(\.0)) == Set(ConnectionEvent.Chunk.allCases))
    let states = Dictionary(uniqueKeysWithValues: Self.columns)
    for (chunk, row) in Self.rows {
      let cells = row.split(separator: " ").map { states[String($0)] }
      #expect(cells.count == 14)
      for ((name, state), cell) in zip(Self.columns, cells) {
        #expect(state.next(on: .sctp(chunk)) == cell, "\(chunk) in \(name)")
      }
    }
  }

  /// `sctp_timeouts` in seconds and `sctp_state_name_table`.
  @Test func timeoutsAndNamesAreTheKernels() {
    let expected: [(ConnectionState, UInt32, String)] = [
      (.none, 2, "NONE"), (.sctpInit1, 4, "INIT1"), (.sctpInit, 61, "INIT"),
      (.sctpCookieSent, 61, "C-SENT"), (.sctpCookieReplied, 61, "C-REPLIED"),
      (.sctpCookieWait, 61, "C-WAIT"), (.sctpCookie, 61, "COOKIE"),
      (.sctpCookieEchoed, 61, "C-ECHOED"), (.sctpEstablished, 900, "ESTABLISHED"),
      (.sctpShutdownSent, 61, "S-SENT"), (.sctpShutdownReceived, 61, "S-RECEIVED"),
      (.sctpShutdownAckSent, 61, "S-ACK-SENT"), (.sctpRejected, 4, "REJECTED"),
      (.sctpClosed, 61, "CLOSED"),
    ]
    #expect(expected.map(\.0) == Self.columns.map(\.1))
    for (state, seconds, name) in expected {
      #expect(ConnectionTimeouts.lvs[state] == seconds)
      #expect(state.name == name)
      #expect(state.isActive == (state == .sctpEstablished))
    }
  }

  /// Raw values of events and states share tables with those of TCP and UDP.
  @Test func noTwoEventsAreOne() {
    let segments = (0...UInt8.max).map { ConnectionEvent.tcp(flags: $0) }
    let chunks = ConnectionEvent.Chunk.allCases.map(ConnectionEvent.sctp)
    #expect(Set(segments + chunks + [.datagram]).count == 16 + 10 + 1)
    #expect(chunks.allSatisfy { $0.rawValue < ConnectionEvent.limit && $0.decidingFlag == nil })
    #expect(chunks.filter(\.opensConnection) == [.sctp(.initiation)])
    #expect(ConnectionState.allCases.allSatisfy { $0.rawValue < ConnectionState.limit })
  }

  /// Every packet of another protocol leaves a state in the tables' range.
  @Test func foreignEventsChangeNothing() {
    for (_, state) in Self.columns.dropFirst() {
      #expect(state.next(on: .tcp(flags: 0x02)) == state)
    }
    for state in ConnectionState.allCases where (1...11).contains(state.rawValue) {
      for chunk in ConnectionEvent.Chunk.allCases {
        #expect(state.next(on: .sctp(chunk)) == state)
      }
    }
  }

  /// Every state that a client can bring about ends at its timeout, and no sooner.
  @Test(
    arguments: [
      ([1], .sctpInit1, 4), ([1, 1], .sctpInit, 61), ([1, 2], .sctpCookieEchoed, 61),
      ([1, 10], .sctpEstablished, 900), ([1, 10, 7], .sctpShutdownReceived, 61),
      ([1, 10, 8], .sctpClosed, 61), ([1, 6], .sctpClosed, 61),
    ] as [([UInt8], ConnectionState, Double)])
  func endsAtItsTimeout(_ chunks: [UInt8], _ state: ConnectionState, seconds: Double) throws {
    var site = SnapshotSpecification.site()
    site.services[0].key.ipProtocol = .sctp
    site.services[0].policy = ServicePolicy(for: .sctp)
    let desk = try ForwarderDesk(entries: 8)
    try desk.adopt(site)
    for chunk in chunks {
      _ = desk.forward(
        PacketBuilder(from: "10.0.0.1", to: "192.168.1.149").with {
          $0.ipProtocol = .sctp
          $0.payload = sctpChunk(chunk, [1, 2, 3, 4])
        })
    }
    func states() -> [ConnectionState] {
      desk.connections.map(\.state)
    }
    desk.advance(seconds: seconds - 0.01)
    #expect(states() == [state])
    desk.advance(seconds: 0.02)
    #expect(states() == [])
  }
}
