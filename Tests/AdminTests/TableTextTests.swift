// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Testing

@testable import AdminAPI

/// Tables with traffic in them, as ipvsadm 1.31 printed the same figures.
@Suite struct TableTextTests {
  private static func key(_ ipProtocol: IPProtocol, _ address: String, _ port: UInt16)
    -> VirtualServiceKey
  {
    VirtualServiceKey(address: IPAddress(address)!, ipProtocol: ipProtocol, port: Port(port))
  }

  private static func server(_ address: String, _ port: UInt16) -> RealServerAddress {
    RealServerAddress(address: IPAddress(address)!, port: Port(port))
  }

  /// What Fixtures/traffic.transcript was recorded of.
  private let recorded: [ServiceReport] = [
    ServiceReport(
      service: key(.tcp, "192.168.1.149", 80), scheduler: .rr,
      statistics: Counters(connections: 3, inPackets: 3, inBytes: 180),
      rates: Counters(inBytes: 12),
      realServers: [
        RealServerReport(
          realServer: server("192.168.1.152", 80), weight: 2, activeConnections: 2,
          isResolved: true, macAddress: nil,
          statistics: Counters(connections: 2, inPackets: 2, inBytes: 120),
          rates: Counters(inBytes: 7)),
        RealServerReport(
          realServer: server("192.168.1.151", 80), weight: 1, activeConnections: 1,
          isResolved: true, macAddress: nil,
          statistics: Counters(connections: 1, inPackets: 1, inBytes: 60),
          rates: Counters(inBytes: 4)),
      ]),
    ServiceReport(
      service: key(.tcp, "2001:db8::149", 80), scheduler: .rr,
      statistics: Counters(connections: 1, inPackets: 1, inBytes: 80),
      rates: Counters(inBytes: 7),
      realServers: [
        RealServerReport(
          realServer: server("2001:db8::151", 80), weight: 1, activeConnections: 1,
          isResolved: true, macAddress: nil,
          statistics: Counters(connections: 1, inPackets: 1, inBytes: 80),
          rates: Counters(inBytes: 7))
      ]),
    ServiceReport(
      service: key(.udp, "192.168.1.149", 53), scheduler: .wrr,
      statistics: Counters(connections: 9, inPackets: 9, inBytes: 279),
      rates: Counters(connections: 1, inPackets: 1, inBytes: 26),
      realServers: [
        RealServerReport(
          realServer: server("192.168.1.151", 53), weight: 1, inactiveConnections: 9,
          isResolved: true, macAddress: nil,
          statistics: Counters(connections: 9, inPackets: 9, inBytes: 279),
          rates: Counters(connections: 1, inPackets: 1, inBytes: 26))
      ]),
  ]

  private func output(
    _ command: String, in recording: String = "traffic.transcript"
  ) throws -> String {
    let steps = Transcript(try fixture(recording)).steps
    return try #require(steps.first { $0.command == command }).outcome.output
  }

  @Test(arguments: [
    ("ipvsadm -Ln", Listing.Columns.configuration),
    ("ipvsadm -Ln --stats", .statistics(isExact: false)),
    ("ipvsadm -Ln --stats --exact", .statistics(isExact: true)),
    ("ipvsadm -Ln --rate", .rates(isExact: false)),
  ])
  func servicesAreAsRecorded(command: String, columns: Listing.Columns) throws {
    let text =
      TableText.banner(connectionCapacity: 4096)
      + TableText(names: .none).services(recorded, columns: columns, isSorted: true)
    #expect(text == (try output(command)))
  }

  @Test func unresolvedRealServersAreShown() {
    var service = recorded[2]
    service.realServers[0].isResolved = false
    let text = TableText(names: .none)
    let lines = text.services([service], columns: .configuration, isSorted: true)
      .split(separator: "\n")
    #expect(
      lines.last
        == "  -> 192.168.1.151:53             Route   1      0          9          unresolved")
    #expect(text.rules([service]).hasSuffix("-r 192.168.1.151:53 -g -w 1\n"))
  }

  /// The kernel's own list of the connections (/proc/net/ip_vs_conn) in, ipvsadm's out.
  @Test(
    arguments: [
      ("ipvsadm -Lnc", "traffic.transcript", 13), ("ipvsadm -Lc", "traffic.transcript", 13),
      ("ipvsadm -Lnc", "marks-traffic.transcript", 11),
      ("ipvsadm -Lc", "marks-traffic.transcript", 11),
    ])
  func connectionsAreAsRecorded(command: String, recording: String, count: Int) throws {
    let isNumeric = command.contains("n") && command.hasSuffix("nc")
    let kernel = try output("cat /proc/net/ip_vs_conn", in: recording).split(separator: "\n")
      .dropFirst()
    let expected = try output(command, in: recording)
    let seconds = expected.split(separator: "\n").dropFirst(2).map { line -> UInt32 in
      let digits = line.split(separator: " ")[1].split(separator: ":").map { UInt32($0)! }
      return digits[0] * 60 + digits[1]
    }
    let connections = zip(kernel, seconds).map { line, seconds in
      Self.connection(line.split(separator: " ").map(String.init), seconds: seconds)
    }
    #expect(connections.count == count)
    let text = TableText(names: isNumeric ? .none : .fixture)
    #expect(
      TableText.connectionTitle(hasEngines: false) + connections.map(text.connection).joined()
        == expected)
  }

  /// Lines of a kernel's list (/proc/net/ip_vs_conn) and of `ipvsadm -Lnc` over it.
  @Test(arguments: [
    (
      "TCP C0A80100 0000 C0A80195 0050 C0A80197 0050 NONE            297",
      "TCP 04:57  NONE        192.168.1.0:0      192.168.1.149:80   192.168.1.151:80"
    ),
    (
      "UDP C0A80195 0000 C0A80195 0035 C0A80197 0035 NONE             98",
      "UDP 01:38  NONE        192.168.1.149:0    192.168.1.149:53   192.168.1.151:53"
    ),
    (
      "TCP C0A80195 0000 C0A80195 0000 C0A80197 0000 NONE            299",
      "TCP 04:59  NONE        192.168.1.149:0    192.168.1.149:0    192.168.1.151:0"
    ),
    (
      "TCP 2001:0db8:0000:0000:0000:0000:0000:0000 0000 "
        + "2001:0db8:0000:0000:0000:0000:0000:0149 0050 "
        + "2001:0db8:0000:0000:0000:0000:0000:0151 0050 NONE             58",
      "TCP 00:58  NONE        [2001:db8::]:0     [2001:db8::149]:80 [2001:db8::151]:80"
    ),
  ])
  func templatesAreAsRecorded(kernel: String, line: String) throws {
    let fields = kernel.split(separator: " ").map(String.init)
    let report = Self.connection(fields, seconds: try #require(UInt32(fields[8])))
    #expect(TableText(names: .none).connection(report) == line + "\n")
  }

  private static func connection(_ fields: [String], seconds: UInt32) -> ConnectionReport {
    func address(_ text: String) -> IPAddress {
      IPAddress(text) ?? .v4(IPv4Address(rawValue: UInt32(text, radix: 16)!))
    }
    func port(_ text: String) -> Port { Port(UInt16(text, radix: 16)!) }
    let virtual = VirtualServiceKey(
      address: address(fields[3]), ipProtocol: IPProtocol(serviceProtocol: fields[0].lowercased())!,
      port: port(fields[4]))
    return ConnectionReport(
      service: virtual, virtual: virtual, clientAddress: address(fields[1]),
      clientPort: port(fields[2]),
      realServer: RealServerAddress(address: address(fields[5]), port: port(fields[6])),
      state: fields[7], remainingSeconds: seconds)
  }

  /// `print_largenum` of ipvsadm.c: K from 10^8, M from 10^9, G from 10^11, T from 10^14.
  @Test(arguments: [
    (0, "        0", "        0"), (99_999_999, " 99999999", " 99999999"),
    (100_000_000, "  100000K", " 100000000"), (999_999_999, "  999999K", " 999999999"),
    (1_000_000_000, "    1000M", " 1000000000"), (99_999_999_999, "   99999M", " 99999999999"),
    (100_000_000_000, "     100G", " 100000000000"),
    (99_999_999_999_999, "   99999G", " 99999999999999"),
    (100_000_000_000_000, "     100T", " 100000000000000"),
    (UInt64.max, "18446744T", " 18446744073709551615"),
  ])
  func largeNumbers(number: UInt64, abbreviated: String, exact: String) {
    #expect(TableText.largeNumber(number, isExact: false) == abbreviated)
    #expect(TableText.largeNumber(number, isExact: true) == exact)
  }

  /// ipvsadm cuts an IPv4 service's name at 33 characters and a server's at 28, IPv6 names never.
  @Test func longNamesAreCut() {
    let names = NameService(
      address: { _ in nil }, port: { _, _ in nil },
      hostName: { _ in "a-host-with-a-rather-long-name.example.org" }, serviceName: { _, _ in nil })
    let lines = TableText(names: names).services(
      [recorded[0], recorded[1]], columns: .configuration, isSorted: true
    ).split(separator: "\n")
    #expect(lines[2] == "TCP  a-host-with-a-rather-long-na rr")
    #expect(lines[3].hasPrefix("  -> a-host-with-a-rather-long-na Route"))
    #expect(lines[5] == "TCP  [a-host-with-a-rather-long-name.example.org]:80 rr")
  }
}
