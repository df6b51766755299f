// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// SCTP packets through the real forwarder: which begin an association, what becomes of its record,
/// and what is not looked at.
@Suite struct SCTPTests {
  private static let initiation = sctpChunk(1, [UInt8](repeating: 1, count: 16))
  private static let abort = sctpChunk(6)

  private static func site(isIPv6: Bool = false) -> SnapshotSpecification {
    var site = SnapshotSpecification.site()
    site.services = [site.services[isIPv6 ? 1 : 0]]
    site.services[0].key.ipProtocol = .sctp
    site.services[0].policy = ServicePolicy(for: .sctp)
    return site
  }

  private static func packet(_ chunks: [UInt8]...) -> PacketBuilder {
    PacketBuilder(from: "10.0.0.1", to: "192.168.1.149").with {
      $0.ipProtocol = .sctp
      $0.payload = chunks.flatMap { $0 }
    }
  }

  private func desk() throws -> ForwarderDesk {
    let desk = try ForwarderDesk(entries: 8)
    try desk.adopt(Self.site())
    return desk
  }

  private func state(_ desk: ForwarderDesk) -> ConnectionState? {
    desk.connections.first?.state
  }

  /// `sctp_conn_schedule` with `sloppy_sctp` off: a first chunk INIT, and no other.
  @Test(arguments: UInt8(0)...20) func onlyAnInitBegins(type: UInt8) throws {
    let desk = try desk()
    let verdict = desk.forward(Self.packet(sctpChunk(type, [1, 2, 3, 4]))).verdict
    #expect(verdict == (type == 1 ? .forward(0) : .drop(.noConnection)))
    #expect(desk.view.ipv4Connections == (type == 1 ? 1 : 0))
    #expect(desk.view.drops(.noConnection) == (type == 1 ? 0 : 1))
  }

  /// `sloppy_sctp`: any chunk begins an association but an ABORT, in the state that it leads to.
  @Test(arguments: [
    (UInt8(0), ConnectionState.sctpEstablished), (2, .sctpCookieEchoed), (6, nil),
    (7, .sctpShutdownReceived), (8, .sctpClosed), (10, .sctpEstablished), (14, .sctpClosed),
  ])
  func straysMayBegin(type: UInt8, after: ConnectionState?) throws {
    var site = Self.site()
    site.services[0].policy.stray = .schedule
    let desk = try ForwarderDesk(entries: 8)
    try desk.adopt(site)
    _ = desk.forward(Self.packet(sctpChunk(type)))
    #expect(state(desk) == after)
  }

  /// There is no RST in SCTP.
  @Test func straysAreNotReset() throws {
    var site = Self.site()
    site.services[0].policy.stray = .reset
    let desk = try ForwarderDesk(entries: 8)
    try desk.adopt(site)
    let verdict = desk.forward(Self.packet(sctpChunk(0))).verdict
    #expect(verdict == .drop(.noConnection) && desk.view.count(of: .reset) == 0)
  }

  /// Nothing changes behind the MAC addresses, the CRC32c among it.
  @Test func theOctetsStay() throws {
    let sent = Self.packet(Self.initiation).frame
    let result = try desk().forward([sent])[0]
    #expect(result.verdict == .forward(0))
    #expect(result.frame[6...].dropFirst(6) == sent[12...])
    #expect(Array(result.frame[..<6]) == MACAddress.realServer(2).octets)
  }

  /// A chunk type is an event by `sctp_events`; those beyond its end are data. From ESTABLISHED
  /// and from INIT1 each event but data leads elsewhere or shows by another.
  @Test(arguments: [
    (UInt8(0), ConnectionState.sctpEstablished), (2, .sctpEstablished), (3, .sctpEstablished),
    (4, .sctpEstablished), (5, .sctpEstablished), (6, .sctpClosed), (7, .sctpShutdownReceived),
    (8, .sctpClosed), (9, .sctpEstablished), (10, .sctpEstablished), (11, .sctpEstablished),
    (12, .sctpEstablished), (13, .sctpEstablished), (14, .sctpEstablished),
    (15, .sctpEstablished), (64, .sctpEstablished), (255, .sctpEstablished),
  ])
  func chunksToAnAssociation(type: UInt8, after: ConnectionState) throws {
    let desk = try desk()
    _ = desk.forward(Self.packet(Self.initiation))
    #expect(state(desk) == .sctpInit1)
    #expect(desk.view.statistics(of: RealServerIndex(rawValue: 2)).inactive == 1)
    _ = desk.forward(Self.packet(sctpChunk(10, [7])))
    #expect(state(desk) == .sctpEstablished)
    #expect(desk.view.statistics(of: RealServerIndex(rawValue: 2)).active == 1)
    #expect(desk.forward(Self.packet(sctpChunk(type, [7, 7]))).verdict == .forward(0))
    #expect(state(desk) == after)
    #expect(
      desk.view.statistics(of: RealServerIndex(rawValue: 2)).active
        == (after == .sctpEstablished ? 1 : 0))
  }

  /// The rule on bundled chunks of `set_sctp_state`, and what is cut short.
  @Test(arguments: [
    ("COOKIE ECHO, ABORT", [sctpChunk(10, [7, 7, 7]), abort], ConnectionState.sctpClosed),
    ("COOKIE ECHO, DATA", [sctpChunk(10, [7, 7, 7]), sctpChunk(0)], .sctpEstablished),
    ("COOKIE ECHO, DATA, ABORT", [sctpChunk(10), sctpChunk(0), abort], .sctpEstablished),
    ("COOKIE ECHO of length 0, ABORT", [sctpChunk(10, length: 0), abort], .sctpEstablished),
    ("COOKIE ECHO of length 3, ABORT", [sctpChunk(10, length: 3), abort], .sctpEstablished),
    ("COOKIE ECHO beyond the packet", [sctpChunk(10, length: .max), abort], .sctpEstablished),
    ("COOKIE ECHO, half an ABORT", [sctpChunk(10), [6, 0]], .sctpEstablished),
    ("COOKIE ACK, ABORT", [sctpChunk(11), abort], .sctpClosed),
    ("SACK, ABORT", [sctpChunk(3), abort], .sctpInit1),
    ("ABORT, COOKIE ECHO", [abort, sctpChunk(10)], .sctpClosed),
    ("half a chunk header", [[6, 0, 0]], .sctpInit1),
    ("no chunk", [], .sctpInit1),
  ])
  func bundles(says: String, chunks: [[UInt8]], after: ConnectionState) throws {
    let desk = try desk()
    _ = desk.forward(Self.packet(Self.initiation))
    let packet = Self.packet().with {
      $0.payload = chunks.flatMap { $0 }
      // Padding that reads as further ABORTs if it is taken for the packet.
      $0.minimumBytes = 0
    }
    let padding = Array(repeating: Self.abort, count: 8).flatMap { $0 }
    #expect(desk.forward([packet.frame + padding])[0].verdict == .forward(0))
    #expect(state(desk) == after)
  }

  @Test func whatIsCutShort() throws {
    let whole = Self.packet(Self.initiation).with { $0.minimumBytes = 0 }.frame
    for octets in 0..<whole.count {
      let verdict = try desk().forward([Array(whole[..<octets])])[0].verdict
      #expect(verdict == .drop(.truncated), "\(octets)")
    }
    // An IP packet that ends inside the common header, and one that ends behind it.
    for (octets, reason) in [(11, DropReason.truncated), (12, .noConnection), (15, .noConnection)] {
      var frame = whole
      frame[17] = UInt8(20 + octets)
      #expect(try desk().forward([frame])[0].verdict == .drop(reason))
    }
  }

  /// Every sequence of three events after an INIT, against the table that SCTPStateTests has from
  /// the kernel: state, remaining time and counts.
  @Test func sequencesThroughTheForwarder() throws {
    let types: [UInt8] = [0, 1, 2, 6, 7, 8, 9, 10, 11, 14]
    let chunks: [ConnectionEvent.Chunk] = [
      .data, .initiation, .initiationAck, .abort, .shutdown, .shutdownAck, .error, .cookieEcho,
      .cookieAck, .shutdownComplete,
    ]
    let desk = try desk()
    for number in 0..<1000 {
      desk.endConnections()
      #expect(desk.view.ipv4Connections == 0)
      _ = desk.forward(Self.packet(Self.initiation))
      var state = ConnectionState.sctpInit1
      for digit in [1, 10, 100] {
        let event = number / digit % 10
        // `is_new_conn_expected`: an INIT on a closed association is scheduled anew.
        let beginsAnew = types[event] == 1 && state == .sctpClosed
        state = beginsAnew ? .sctpInit1 : state.next(on: .sctp(chunks[event]))
        #expect(desk.forward(Self.packet(sctpChunk(types[event]))).verdict == .forward(0))
        desk.advance(seconds: 1)
        let listed = desk.connections
        #expect(listed.map(\.state) == [state], "\(number)")
        #expect(
          listed.map(\.remainingMilliseconds)
            == [Int32(ConnectionTimeouts.lvs[state] - 1) * 1000])
      }
    }
  }

  /// `IP_VS_SCTP_S_INIT1`: an INIT that nothing follows is forgotten after four seconds.
  @Test func aLoneInitIsForgottenSoon() throws {
    let desk = try desk()
    _ = desk.forward(Self.packet(Self.initiation))
    desk.advance(seconds: 3.9)
    #expect(state(desk) == .sctpInit1)
    desk.advance(seconds: 0.2)
    #expect(state(desk) == nil)
    #expect(desk.forward(Self.packet(sctpChunk(10))).verdict == .drop(.noConnection))
  }

  @Test func fragmentsAndErrorsFollowTheAssociation() throws {
    let desk = try desk()
    let large = Self.packet(Self.initiation, sctpChunk(0, .init(repeating: 7, count: 200)))
    let parts = desk.forward(
      large.with { $0.fragmentField = 0 }.fragments(of: 64, identification: 9))
    #expect(parts.allSatisfy { $0.verdict == .forward(0) && $0.frame[5] == 2 })
    let error = large.answer.with { $0.payload = [] }
      .icmpError(from: "10.0.0.254", type: 3, code: 4, octets: 28)
    let result = desk.forward(error)
    #expect(result.verdict == .forward(0) && result.frame[5] == 2)
  }

  @Test func overIPv6BehindExtensionHeaders() throws {
    let desk = try ForwarderDesk(entries: 8)
    try desk.adopt(Self.site(isIPv6: true))
    let packet = PacketBuilder(from: "2001:db8:1::1", to: "2001:db8::149").sctp(Self.initiation)
    for headers in 0...2 {
      let options: (UInt8, [UInt8]) = (60, [0, 0, 1, 4, 0, 0, 0, 0])
      let sent = packet.with { $0.extensionHeaders = .init(repeating: options, count: headers) }
      #expect(desk.forward(sent).verdict == .forward(0))
    }
    #expect(desk.view.ipv6Connections == 1)
  }

  /// `ip_vs_leave`, as for the other protocols: the client is told.
  @Test func noRealServerAnswersPortUnreachable() throws {
    var site = Self.site()
    site.services[0].realServers = []
    let desk = try ForwarderDesk(entries: 8)
    try desk.adopt(site)
    let result = desk.forward(Self.packet(Self.initiation))
    #expect(result.verdict.dropReason == .noRealServer && result.verdict.answerBytes > 0)
    #expect(result.frame[23] == 1 && result.frame[34...35] == [3, 3])
  }

  /// RFC 9260 appendix A: the value of "123456789" that is commonly given for CRC-32C.
  @Test func theBuilderKnowsTheChecksum() {
    #expect(crc32c(Array("123456789".utf8)) == [0x83, 0x92, 0x06, 0xe3])
  }
}
