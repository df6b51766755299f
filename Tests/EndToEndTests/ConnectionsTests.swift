// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import DataPlane
import Foundation
import TestSupport
import Testing

/// `martinet connections` over TCP and UDP connections of real hosts.
extension EndToEnd {
  @Suite(.serialized) struct ConnectionsTests {
    private static let web = ["192.168.1.151", "192.168.1.152"]
    private static let web6 = ["[fd00:1::151]:80", "[fd00:1::152]:80"]
    /// The client's second address.
    private static let other = "10.0.0.77"

    /// With small tables: each listing looks through all of them.
    private static func director(on served: ServedLan) throws -> RunningDirector {
      let path = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString).yaml"
      defer { try? FileManager.default.removeItem(atPath: path) }
      try """
      interface: {name: lan0, copy-mode: copy}
      capacity: {ipv4-connections: 1024, ipv6-connections: 1024, persistent-clients: 1024}

      """.write(toFile: path, atomically: true, encoding: .utf8)
      return try RunningDirector(on: served.lan.director, ["--config", path])
    }

    /// On two queues it is the tables of both workers.
    @Test func listsWhatIsAskedFor() throws {
      let served = try ServedLan(directorQueues: 2)
      let client = served.lan.client
      try client.ip("address add \(Self.other)/24 dev wan0")
      let director = try Self.director(on: served)
      try director.serve(ServedLan.web, Self.web)
      try director.serve(ServedLan.web6, Self.web6)
      try director.serve(ServedLan.names, Self.web)

      func connect(_ address: String, _ port: UInt16, _ vip: String = Lan.vip) throws
        -> StreamSocket
      {
        try StreamSocket(
          on: client, from: SocketAddress(address, port: port),
          to: SocketAddress(vip, port: 80))
      }
      // Six that stay, two of which over IPv6, and two that the client ends.
      let living =
        try (UInt16(4001)...4003).map { try connect("10.0.0.2", $0) } + [connect(Self.other, 4004)]
        + [4005, 4006].map { try connect("fd00:10::2", $0, Lan.vip6) }
      let names = try living.map { try $0.get(closes: false) }
      let ended = try [4007, 4008].map { try connect("10.0.0.2", $0).get(closes: true) }
      for port in UInt16(5001)...5004 {
        #expect(["rs1", "rs2"].contains(try served.query(fromPort: port)))
      }
      func list(_ options: String) throws -> [ConnectionReport] {
        try director.martinet("connections --json \(options)").split(separator: "\n").map {
          try JSONDecoder().decode(ConnectionReport.self, from: Data($0.utf8))
        }
      }
      func ports(_ options: String) throws -> [UInt16] {
        try list(options).map(\.clientPort.rawValue).sorted()
      }
      let closed = try waitUntil { try ports("--state fin_wait") == [4007, 4008] }
      #expect(closed)
      #expect(try ports("") == Array(4001...4008) + Array(5001...5004))
      #expect(try ports(ServedLan.web) == [4001, 4002, 4003, 4004, 4007, 4008])
      #expect(try ports(ServedLan.web6) == [4005, 4006])
      #expect(try ports("\(ServedLan.names) --state UDP") == Array(5001...5004))
      #expect(try ports("--client \(Self.other)") == [4004])
      #expect(try ports("--client 10.0.0.64/26") == [4004])
      #expect(try ports("--client fd00:10::/64") == [4005, 4006])
      #expect(try ports("--state established,udp --client 10.0.0.0/26").count == 3 + 4)
      #expect(try ports("--idle-at-least 3000").isEmpty)
      #expect(try ports("--idle-at-most 3000").count == 12)

      // Each is listed at the real server that answered.
      let expected = zip(UInt16(4001)..., names + ended).filter { $1 == "rs1" }.map(\.0)
      let listed = try ["192.168.1.151", "fd00:1::151"].flatMap {
        try ports("--real-server \($0)")
      }
      #expect(!expected.isEmpty && listed.filter { $0 < 5000 }.sorted() == expected)

      for (options, count) in [("", 12), (ServedLan.names, 4), ("--client fd00:10::/64", 2)] {
        #expect(try director.martinet("connections --count \(options)") == "\(count)\n")
        let report = try director.martinet("connections --count --json \(options)")
        #expect(report == "{\n  \"connections\" : \(count)\n}\n")
      }
      let table = try director.martinet("connections \(ServedLan.web) --client \(Self.other)")
      #expect(
        table.split(separator: "\n").last?.split(separator: " ").prefix(3)
          == ["tcp", "\(Self.other):4004", "\(Lan.vip):80"])
      try Self.readPages(director, total: 12)
      // Until here: an optimised build lets go of what is not used any more.
      withExtendedLifetime(living) {}
    }

    /// Pages of five, each of which tells where the next one begins; the whole is nothing twice.
    private static func readPages(_ director: RunningDirector, total: Int) throws {
      var lines: [Substring] = []
      var from = ""
      for page in 1...10 {
        let output = try director.martinet("connections --json --limit 5" + from)
        let more = output.firstMatch(of: /go on with( --from \d+)/).map { String($0.1) }
        let listed = output.split(separator: "\n").filter { $0.hasPrefix("{") }
        #expect(listed.count <= 5, "page \(page)")
        lines += listed
        guard let more else { break }
        from = more
      }
      #expect(lines.count == total && Set(lines).count == total, "\(lines)")
    }

    /// A connection that ends, and a flow of a real server that is removed, are listed no more.
    @Test func forgetsWhatIsOver() throws {
      let served = try ServedLan()
      let director = try Self.director(on: served)
      try director.ipvsadm("--set 0 1 0")
      try director.serve(ServedLan.web, Self.web)
      try director.serve(ServedLan.names, ["192.168.1.151"])
      #expect(try served.ask(4).allSatisfy { $0 != .timedOut })
      #expect(try served.query(fromPort: 5001) == "rs1")
      let isOver = try waitUntil {
        try director.martinet("connections \(ServedLan.web) --count") == "0\n"
      }
      #expect(isOver)
      #expect(try director.martinet("connections --count --real-server 192.168.1.151") == "1\n")
      try director.ipvsadm("-D \(ServedLan.names)")
      #expect(try director.martinet("connections --count") == "0\n")
      let (ending, output) = try director.host.finish(
        [RunningDirector.executable, "connections", "-u", "\(Lan.vip):53"],
        environment: ["MARTINET_CONTROL": director.controlPath])
      #expect(ending == .exit(65) && output.contains("there is no service UDP \(Lan.vip):53"))
    }
  }
}
