// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import DataPlane
import Foundation
import TestSupport
import Testing

/// Listings by the API's own clients.
@Suite struct ConnectionListerTests {
  /// A director with 500 datagrams and one web connection of another client.
  private func serve(_ body: (AdminDesk, _ recorded: Int) async throws -> Void) async throws {
    try await AdminDesk.serve { desk in
      for line in [
        "-A -u 192.168.1.149:53 -s rr", "-a -u 192.168.1.149:53 -r 192.168.1.151",
        "-A -t 192.168.1.149:80 -s rr", "-a -t 192.168.1.149:80 -r 192.168.1.152",
      ] {
        #expect(await desk.ipvsadm(line) == .init())
      }
      let web = PacketBuilder(from: "10.0.7.9", to: "192.168.1.149")
      #expect(desk.plane.forward(web).verdict.isForward)
      #expect(desk.plane.forward(web.with { $0.tcpFlags = .ack }).verdict.isForward)
      let query = PacketBuilder(from: "10.0.0.9", to: "192.168.1.149").with {
        $0.ipProtocol = .udp
        $0.destinationPort = Port(53)
      }
      for port in UInt16(1)...500 {
        #expect(desk.plane.forward(query.with { $0.sourcePort = Port(port) }).verdict.isForward)
      }
      let recorded = desk.plane.views.reduce(0) { $0 + Int($1.ipv4Connections) }
      #expect(recorded > 450)
      try await body(desk, recorded)
    }
  }

  @Test func pagesOverTheSocket() async throws {
    try await serve { desk, recorded in
      let socketPath = desk.socketPath
      let pages = await onThread {
        var pages: [Int] = []
        var target = "/v1/connections?limit=100"
        while pages.count < 100 {
          guard
            let answer = RawClient.get(target, at: socketPath),
            let page = try? JSONDecoder().decode(ConnectionPageReport.self, from: answer.content)
          else { return pages }
          pages.append(page.connections.count)
          guard let next = page.next else { return pages }
          target = "/v1/connections?limit=100&from=\(next)"
        }
        return pages
      }
      #expect(pages.reduce(0, +) == recorded && pages.allSatisfy { $0 <= 100 })
      #expect(await desk.ipvsadm("-Lnc").output.split(separator: "\n").count == recorded + 2)
    }
  }

  private func connections(_ desk: AdminDesk, _ line: String) async -> AdminDesk.Outcome {
    let words = line.split(separator: " ").map(String.init)
    return await ProgramTests.run(
      ProgramTests.executable, ["connections"] + words, control: desk.socketPath)
  }

  @Test func theProgramListsAndCounts() async throws {
    try await serve { desk, recorded in
      #expect(await connections(desk, "--count") == .init(output: "\(recorded)\n"))
      #expect(await connections(desk, "-t 192.168.1.149:http --count") == .init(output: "1\n"))
      let all = await connections(desk, "--udp-service 192.168.1.149:53")
      #expect(all.output.split(separator: "\n").count == recorded && all.complaint.isEmpty)
      let table = await connections(desk, "--client 10.0.4.0/22 --state established,close")
      let lines = table.output.split(separator: "\n")
      let words = lines.first?.split(separator: " ") ?? []
      #expect(
        words == ["prot", "client", "virtual", "real", "server", "state", "idle", "s", "left", "s"])
      #expect(
        lines.last?.hasPrefix(
          "tcp  10.0.7.9:40000         192.168.1.149:80       192.168.1.152:80       "
            + "ESTABLISHED ") == true)
      #expect(lines.count == 2 && table.complaint.isEmpty && table.exitCode == 0)
      let json = await connections(desk, "--json --real-server 192.168.1.152")
      let report = try JSONDecoder().decode(ConnectionReport.self, from: Data(json.output.utf8))
      #expect(report.clientAddress == IPAddress("10.0.7.9") && report.state == "ESTABLISHED")
      #expect(await connections(desk, "--idle-at-least 5000") == .init())
    }
  }

  /// What `--from` goes on with misses none and repeats none.
  @Test func theProgramGoesOn() async throws {
    try await serve { desk, recorded in
      var lines: [Substring] = []
      var place = ""
      repeat {
        let part = await connections(desk, "--json --limit 200 " + place)
        lines += part.output.split(separator: "\n")
        place = part.complaint.firstMatch(of: /--from \d+/).map { String($0.output) } ?? ""
      } while !place.isEmpty && lines.count < 1000
      #expect(lines.count == recorded && Set(lines).count == recorded)
    }
  }

  @Test func theProgramRefuses() async throws {
    try await serve { desk, _ in
      for (line, sentence) in [
        ("-t 192.168.1.149:80 -u 192.168.1.149:53", "give one service"), ("-t x", "give VIP:port"),
        ("--client 10.0.0.0/33", "is no prefix"), ("--limit 0", "give 1 or more"),
        ("--count --limit 1", "leave out"), ("--idle-at-least 2 --idle-at-most 1", "exchange them"),
      ] {
        let outcome = await connections(desk, line)
        #expect(outcome.exitCode == 64 && outcome.output.isEmpty)
        #expect(outcome.complaint.contains(sentence), "\(line): \(outcome.complaint)")
      }
      let strange = await connections(desk, "-t 192.168.1.149:81")
      #expect(
        strange.complaint == "martinet: there is no service TCP 192.168.1.149:81: add it first\n")
      #expect(strange.exitCode == 65)
    }
  }

  /// Commands are carried out while others list: a listing does not hold the director.
  @Test func commandsGoOnWhileOthersList() async throws {
    try await serve { desk, recorded in
      let path = desk.socketPath
      let listing = Task {
        var counts: [Int] = []
        while !Task.isCancelled {
          counts.append(
            await onThread {
              let client = ControlClient(socketPath: path, timeoutSeconds: 60)
              return (try? client.connections().connections.count) ?? -1
            })
        }
        return counts
      }
      for port in 1000..<1050 {
        #expect(await desk.ipvsadm("-A -t 192.168.1.149:\(port) -s rr") == .init())
      }
      listing.cancel()
      let counts = await listing.value
      #expect(!counts.isEmpty && Set(counts) == [recorded])
    }
  }
}
