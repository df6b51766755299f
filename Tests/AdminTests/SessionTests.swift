// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import DataPlane
import Foundation
import TestSupport
import Testing

@testable import AdminServer

/// The same command lines to Martinet as once to ipvsadm 1.31 over the kernel's IPVS: the same
/// text on both outputs, the same exit code, and so the same state, command by command.
@Suite struct SessionTests {
  @Test(
    arguments: [
      ("session.transcript", 333), ("options.transcript", 160), ("all-ports.transcript", 30),
      ("marks.transcript", 68), ("sctp.transcript", 37),
    ])
  func everyCommandAnswersAsRecorded(name: String, count: Int) async throws {
    let transcript = Transcript(try fixture(name))
    #expect(transcript.steps.count >= count)
    try await AdminDesk.serve { desk in
      let capacity = await desk.director.connectionCapacity
      for step in transcript.steps {
        var outcome = await desk.ipvsadm(step.arguments, input: step.input)
        var expected = step.outcome
        // Martinet has its own table size and names the line of a restored table that is wrong.
        expected.output = expected.output.replacing("(size=4096)", with: "(size=\(capacity))")
        outcome.complaint = outcome.complaint.replacing(#/line \d+: /#, with: "")
        #expect(outcome == expected, "\(step.command) <\(step.input.debugDescription)")
      }
    }
  }

  /// `-S` of one director restores another to the same table.
  @Test(arguments: [true, false]) func savedTablesRestore(isNumeric: Bool) async throws {
    let save = isNumeric ? "-Sn" : "-S"
    let saved = try await savedTable(save)
    #expect(saved.split(separator: "\n").count == 7)
    try await AdminDesk.serve { desk in
      #expect(await desk.ipvsadm(["-R"], input: saved) == .init())
      #expect(await desk.ipvsadm([save]).output == saved)
      #expect(desk.plane.opened.count == 3)
    }
  }

  private func savedTable(_ save: String) async throws -> String {
    var saved = ""
    try await AdminDesk.serve { desk in
      for line in [
        "-A -t 192.168.1.149:80 -s rr", "-a -t 192.168.1.149:80 -r 192.168.1.151 -w 0",
        "-a -t 192.168.1.149:80 -r 192.168.1.152 -w 65536", "-A -u 192.168.1.149:53 -s wrr",
        "-a -u 192.168.1.149:53 -r 192.168.1.153", "-A -t [2001:db8::149]:80 -s rr",
        "-a -t [2001:db8::149]:80 -r [2001:db8::151]:80",
      ] {
        #expect(await desk.ipvsadm(line) == .init())
      }
      saved = await desk.ipvsadm([save]).output
    }
    return saved
  }

  /// Where the order is not sorted: services as added, real servers as the scheduler has them.
  @Test func nosortShowsTheSchedulersOrder() async throws {
    try await AdminDesk.serve { desk in
      for line in [
        "-A -t 192.168.1.149:81 -s rr", "-a -t 192.168.1.149:81 -r 192.168.1.151",
        "-a -t 192.168.1.149:81 -r 192.168.1.152", "-A -t 192.168.1.149:80 -s rr",
      ] {
        #expect(await desk.ipvsadm(line).exitCode == 0)
      }
      let lines = await desk.ipvsadm("-Ln --nosort").output.split(separator: "\n").dropFirst(3)
      #expect(
        lines.map { $0.split(separator: " ").prefix(2).joined(separator: " ") }
          == [
            "TCP 192.168.1.149:81", "-> 192.168.1.152:81", "-> 192.168.1.151:81",
            "TCP 192.168.1.149:80",
          ])
    }
  }

  @Test func countsAreThoseOfTheForwarders() async throws {
    try await AdminDesk.serve { desk in
      #expect(await desk.ipvsadm("-A -t 192.168.1.149:80 -s rr").exitCode == 0)
      #expect(await desk.ipvsadm("-a -t 192.168.1.149:80 -r 192.168.1.151").exitCode == 0)
      for port in UInt16(1)...3 {
        let syn = PacketBuilder(from: "10.0.0.9", to: "192.168.1.149").with {
          $0.sourcePort = Port(port)
        }
        #expect(desk.plane.forward(syn).verdict.isForward)
      }
      let statistics = await desk.ipvsadm("-L -n --stats -t 192.168.1.149:80").output
      #expect(
        statistics.split(separator: "\n").dropFirst(2).joined(separator: "\n") == """
          TCP  192.168.1.149:80                    3        3        0      120        0
            -> 192.168.1.151:80                    3        3        0      120        0
          """)
      let table = await desk.ipvsadm("-Ln").output
      #expect(table.hasSuffix("Route   1      3          0         \n"))
      let connections = await desk.ipvsadm("-Lnc").output.split(separator: "\n").dropFirst(2)
      #expect(connections.count == 3)
      #expect(
        connections.sorted()[0].hasSuffix(
          "SYN_RECV    10.0.0.9:1         192.168.1.149:80   192.168.1.151:80"))
      #expect(await desk.ipvsadm("-Z").exitCode == 0)
      let zeroed = await desk.ipvsadm("-Ln --stats").output
      #expect(zeroed.contains("192.168.1.151:80                    0        0        0"))
    }
  }

  /// What the workers remember of a persistent service's clients.
  @Test func clientsOfPersistentServicesAreListed() async throws {
    try await AdminDesk.serve { desk in
      for line in [
        "-A -t 192.168.1.149:80 -s rr -p 300 -M 255.255.255.0",
        "-a -t 192.168.1.149:80 -r 192.168.1.151 -w 3",
      ] {
        #expect(await desk.ipvsadm(line) == .init())
      }
      for port in UInt16(1)...2 {
        let syn = PacketBuilder(from: "10.0.0.9", to: "192.168.1.149").with {
          $0.sourcePort = Port(port)
        }
        #expect(desk.plane.forward(syn).verdict.isForward)
      }
      let clients = await desk.ipvsadm("-Ln --persistent-conn").output.split(separator: "\n")
      #expect(
        clients.dropFirst(3) == [
          "TCP  192.168.1.149:80 rr persistent 300 mask 255.255.255.0",
          "  -> 192.168.1.151:80             3         1           2          0         ",
        ])
      let connections = await desk.ipvsadm("-Lnc").output.split(separator: "\n").dropFirst(2)
      #expect(connections.count == 3)
      let fields = connections.last?.split(separator: " ").map(String.init) ?? []
      #expect(
        Array(fields.prefix(1) + fields.dropFirst(2))
          == ["TCP", "NONE", "10.0.0.0:0", "192.168.1.149:80", "192.168.1.151:80"])
      let document = RawClient.get("/v1/services/tcp/192.168.1.149/80", at: desk.socketPath)
      let text = String(decoding: document?.content ?? Data(), as: UTF8.self)
      #expect(text.contains(#""persistence":{"#) && text.contains(#""mask":"255.255.255.0""#))
    }
  }

  /// A connection has the port its client addressed, the client's entry none.
  @Test(arguments: [("10.0.0.9", "192.168.1.149"), ("2001:db8:1::9", "2001:db8::149")])
  func connectionsToAllPortsAreListed(client: String, vip: String) async throws {
    func named(_ address: String) -> String { address.contains(":") ? "[\(address)]" : address }
    let server = vip.replacing("149", with: "151")
    try await AdminDesk.serve { desk in
      for line in [
        "-A -t \(vip) -s rr -p 300", "-a -t \(vip) -r \(named(server)):0",
      ] {
        #expect(await desk.ipvsadm(line) == .init())
      }
      for port in [UInt16(80), 8080] {
        let syn = PacketBuilder(from: client, to: vip).with { $0.destinationPort = Port(port) }
        #expect(desk.plane.forward(syn).verdict.isForward)
      }
      let lines = await desk.ipvsadm("-Lnc").output.split(separator: "\n").dropFirst(2)
      let names = lines.map { $0.split(separator: " ").dropFirst(2).joined(separator: " ") }
      #expect(
        names.sorted() == [
          "NONE \(named(client)):0 \(named(vip)):0 \(named(server)):0",
          "SYN_RECV \(named(client)):40000 \(named(vip)):80 \(named(server)):80",
          "SYN_RECV \(named(client)):40000 \(named(vip)):8080 \(named(server)):8080",
        ])
      #expect(await desk.ipvsadm("-Ln").output.contains("Route   1      2          0         \n"))
    }
  }
}
