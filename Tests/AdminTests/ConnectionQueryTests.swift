// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import TestSupport
import Testing

@testable import AdminAPI

/// Which connections are asked for, and the forms they come in.
@Suite struct ConnectionQueryTests {
  @Test func fieldsAreReadAndWritten() throws {
    let fields = [
      "service": "udp/2001:db8::1/53", "real-server": "2001:db8::2", "client": "2001:db8::/32",
      "state": "ESTABLISHED,UDP", "idle-at-least": "5", "idle-at-most": "60",
    ]
    let query = try ConnectionQuery(fields: fields)
    #expect(query.fields == fields && Set(fields.keys) == Set(ConnectionQuery.fieldNames))
    #expect(query.service?.ipProtocol == .udp && query.idleAtLeast == 5)
    #expect(ConnectionQuery().fields.isEmpty)
    #expect(try ConnectionQuery(fields: ["state": "fin_wait"]).states == ["FIN_WAIT"])
  }

  @Test(arguments: [
    (["service": "tcp/192.0.2.1"], #"service "tcp/192.0.2.1" is no service"#),
    (["service": "icmp/192.0.2.1/8"], "is no service: give one as tcp/192.0.2.1/80"),
    (["real-server": "rs1"], #"real-server "rs1" is not an IP address: give one as 192.0.2.2"#),
    (["client": "10.0.0.0/33"], "is no prefix: give one as 192.0.2.0/24, or an address"),
    (["state": ""], "is no state: give some of ASSURED"),
    (["state": "UDP,,open"], "is no state"), (["idle-at-least": "-1"], "is no number of seconds"),
    (["idle-at-most": "5 m"], "is no number of seconds: give digits only"),
    (["idle-at-least": "9", "idle-at-most": "8"], "exchange them"),
    (["sevice": ""], "there is no field sevice: give from, limit, service, real-server"),
  ])
  func whatIsWrongIsNamed(fields: [String: String], sentence: String) throws {
    let error = #expect(throws: QueryError.self) { try ConnectionQuery(fields: fields) }
    #expect(try #require(error).description.contains(sentence))
  }

  private static let reports = [
    report("tcp/192.0.2.1/80", "10.0.0.9", 40000, "192.0.2.2", "ESTABLISHED", 899, 1),
    report("udp/2001:db8::1/53", "2001:db8::9", 1, "2001:db8::2", "UDP", 0, 4_294_967_295),
    report("mark/7/4", "10.0.0.9", 1, "192.0.2.2", "UDP", 1, 2),
    report("tcp/255.255.255.255/65535", "0.0.0.0", 0, "100.20.10.2", "NONE", 10, 100),
  ]

  private static func report(
    _ service: String, _ client: String, _ port: UInt16, _ server: String, _ state: String,
    _ remaining: UInt32, _ idle: UInt32
  ) -> ConnectionReport {
    let words = service.split(separator: "/").map(String.init)
    let virtual = VirtualServiceKey(path: words[0] == "mark" ? ["tcp", "192.0.2.7", "8"] : words)!
    let service = VirtualServiceKey(path: words)!
    return ConnectionReport(
      service: service, virtual: virtual, clientAddress: IPAddress(client)!, clientPort: Port(port),
      realServer: RealServerAddress(address: IPAddress(server)!, port: virtual.port),
      state: state, remainingSeconds: remaining, idleSeconds: idle)
  }

  @Test func rowsAreReadAsWritten() {
    let rows = Self.reports.flatMap(\.row)
    #expect(
      String(decoding: rows, as: UTF8.self) == """
        tcp,10.0.0.9,40000,192.0.2.1,80,192.0.2.2,80,ESTABLISHED,899,1,tcp/192.0.2.1/80
        udp,2001:db8::9,1,2001:db8::1,53,2001:db8::2,53,UDP,0,4294967295,udp/2001:db8::1/53
        tcp,10.0.0.9,1,192.0.2.7,8,192.0.2.2,8,UDP,1,2,mark/7/4
        tcp,0.0.0.0,0,255.255.255.255,65535,100.20.10.2,65535,NONE,10,100,tcp/255.255.255.255/65535

        """)
    #expect(ConnectionReport.reports(rows: rows) == Self.reports)
    #expect(ConnectionReport.reports(rows: []) == [])
  }

  /// As Foundation's coders have it.
  @Test func jsonIsTheSameDocument() throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    for report in Self.reports {
      #expect(Data(report.json) == (try encoder.encode(report)))
      #expect(try JSONDecoder().decode(ConnectionReport.self, from: Data(report.json)) == report)
    }
  }

  /// Cut and damaged rows by seed: other rows or nil, never a trap.
  @Test func damagedRowsAreRefused() {
    var seed = Seed(41)
    let whole = Self.reports.flatMap(\.row)
    for length in 1..<whole.count where whole[length - 1] != UInt8(ascii: "\n") {
      let read = ConnectionReport.reports(rows: Array(whole[..<length]))
      #expect(read == nil || read!.count <= 4)
    }
    for _ in 0..<2000 {
      var rows = whole
      for _ in 0...2 {
        let place = Int.random(in: 0..<rows.count, using: &seed)
        rows[place] = seed.next() % 2 == 0 ? UInt8.random(in: 0...255, using: &seed) : 0x2c
      }
      _ = ConnectionReport.reports(rows: rows)
    }
    for row in ["tcp,1.2.3,4,1.2.3.4,5,1.2.3.4,5,UDP,1,1\n", "tcp,1.2.3.256,4\n", "x", "\n"] {
      #expect(ConnectionReport.reports(rows: Array(row.utf8)) == nil)
    }
  }
}
