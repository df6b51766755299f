// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// The kernel's one-direction table (`tcp_states`, INPUT-ONLY rows of ip_vs_proto_tcp.c), typed
/// from it a second time in its own abbreviations.
@Suite struct ConnectionStateTests {
  private static let columns = "NO ES SS SR FW TW CL CW LA LI SA".split(separator: " ")
  private static let rows: [(ConnectionEvent, String)] = [
    (.tcp(flags: 0x02), "SR ES ES SR SR SR SR SR SR SR SR"),
    (.tcp(flags: 0x11), "CL FW SS TW FW TW CL CW LA LI TW"),
    (.tcp(flags: 0x18), "ES ES SS ES FW TW CL CW CL LI ES"),
    (.tcp(flags: 0x14), "CL CL CL SR CL CL CL CL LA LI CL"),
  ]
  private static let names = [
    "NO": "NONE", "ES": "ESTABLISHED", "SS": "SYN_SENT", "SR": "SYN_RECV", "FW": "FIN_WAIT",
    "TW": "TIME_WAIT", "CL": "CLOSE", "CW": "CLOSE_WAIT", "LA": "LAST_ACK", "LI": "LISTEN",
    "SA": "SYNACK",
  ]

  @Test func all44Cells() throws {
    for (event, row) in Self.rows {
      for (column, cell) in zip(Self.columns, row.split(separator: " ")) {
        let from = try #require(
          ConnectionState.allCases.first { $0.name == Self.names[String(column)] })
        #expect(from.next(on: event).name == Self.names[String(cell)], "\(column) on \(event)")
      }
    }
  }

  @Test(arguments: ConnectionState.allCases)
  func aSegmentWithoutFlagsCloses(_ state: ConnectionState) {
    #expect(state.next(on: .tcp(flags: 0xe8)) == (state == .udp ? .udp : .close))
  }

  /// `tcp_timeouts` and `udp_timeouts` in seconds.
  @Test func timeoutsAreTheKernels() {
    let expected: [(ConnectionState, UInt32)] = [
      (.none, 2), (.established, 900), (.synSent, 120), (.synReceived, 60), (.finWait, 120),
      (.timeWait, 120), (.close, 10), (.closeWait, 60), (.lastAck, 30), (.listen, 120),
      (.synAck, 120), (.udp, 300),
    ]
    for (state, seconds) in expected { #expect(ConnectionTimeouts.lvs[state] == seconds) }
  }

  /// `tcp_state_active_table`; of SCTP `IP_VS_SCTP_S_ESTABLISHED`.
  @Test func activeStates() {
    #expect(
      ConnectionState.allCases.filter(\.isActive)
        == [.established, .synSent, .synReceived, .synAck, .sctpEstablished])
  }

  /// Every TCP event sequence of length four through the real forwarder, against the table.
  @Test func sequencesThroughTheForwarder() throws {
    let segments: [TCPFlags] = [[.ack], [.fin, .ack], [.rst], [], [.syn]]
    let desk = try ForwarderDesk(entries: 8)
    try desk.adopt(.site())
    let packet = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149")
    for number in 0..<625 {
      desk.endConnections()
      #expect(desk.view.ipv4Connections == 0)
      _ = desk.forward(packet)
      var state = ConnectionState.none.next(on: .tcp(flags: TCPFlags.syn.rawValue))
      for digit in [1, 5, 25, 125] {
        let flags = segments[number / digit % 5]
        let event = ConnectionEvent.tcp(flags: flags.rawValue)
        let startsAnew =
          flags == .syn && [.timeWait, .close, .finWait].contains(state)
        state = startsAnew ? .synReceived : state.next(on: event)
        #expect(desk.forward(packet.with { $0.tcpFlags = flags }).verdict == .forward(0))
        let listed = desk.connections
        #expect(listed.map(\.state) == [state], "\(number)")
        #expect(
          listed.map(\.remainingMilliseconds)
            == [Int32(ConnectionTimeouts.lvs[state]) * 1000])
      }
    }
  }

  /// Every state that a client can bring about ends at its timeout, and no sooner.
  @Test(
    arguments: [
      ([.syn], .synReceived, 60), ([.syn, .ack], .established, 900),
      ([.syn, .ack, .fin], .finWait, 120), ([.syn, .fin], .timeWait, 120),
      ([.syn, .ack, .rst], .close, 10), ([.syn, []], .close, 10), ([], .udp, 300),
    ] as [([TCPFlags], ConnectionState, Double)])
  func endsAtItsTimeout(_ segments: [TCPFlags], _ state: ConnectionState, seconds: Double) throws {
    let desk = try ForwarderDesk(entries: 8)
    try desk.adopt(.site())
    if state == .udp { _ = desk.forward(PacketCaseTests.dns) }
    for flags in segments {
      _ = desk.forward(
        PacketBuilder(from: "10.0.0.1", to: "192.168.1.149").with { $0.tcpFlags = flags })
    }
    func states() -> [ConnectionState] {
      desk.connections.map(\.state)
    }
    desk.advance(seconds: seconds - 0.01)
    #expect(states() == [state])
    desk.advance(seconds: 0.02)
    #expect(states() == [])
    desk.sweepAll()
    #expect(desk.view.ipv4Connections == 0 && desk.view.expired == 1)
    for number in UInt16(1)...6 {
      let counted = desk.view.statistics(of: RealServerIndex(rawValue: number))
      #expect(counted.active == 0 && counted.inactive == 0)
    }
  }
}
