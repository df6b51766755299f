// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

/// A real server is emptied under its clients.
extension EndToEnd {
  @Suite(.serialized) struct DrainTests {
    /// UDP, where a flow lives as long as it is used: it stays until the deadline, and then moves.
    @Test func flowsStayUntilTheDeadlineAndMove() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.names, ["192.168.1.151", "192.168.1.152"])
      let born = monotonicSeconds()
      let drained = try served.query(fromPort: 5001)
      let (address, other) =
        drained == "rs1" ? ("192.168.1.151", "rs2") : ("192.168.1.152", "rs1")
      let begun = try director.martinet(
        "drain \(address) --service udp:\(Lan.vip):53 --deadline 1h --then rehash")
      #expect(begun.contains("draining"), "\(begun)")
      for port in UInt16(5002)...5005 { #expect(try served.query(fromPort: port) == other) }
      #expect(try served.query(fromPort: 5001) == drained)

      let listing =
        try director.ipvsadm("-Ln").split(separator: "\n")
        .first { $0.contains(address) }?.split(separator: " ") ?? []
      #expect(listing.suffix(4) == ["0", "0", "1", "draining"], "\(listing)")
      #expect(try director.ipvsadm("-Sn").contains("\(address):53 -g -w 1"))
      // The first two units of its birth, 8.2 s each, tell nothing.
      let isOld = try waitUntil(seconds: 40) {
        try numbers("oldestSeconds", in: director.get("drains")).contains { $0 > 0 }
      }
      #expect(isOld)
      let oldest = try #require(try numbers("oldestSeconds", in: director.get("drains")).first)
      #expect(Double(oldest) <= monotonicSeconds() - born)
      let list = try director.martinet("drain list").split(separator: "\n")
      #expect(list.count == 2)
      let words = list.last?.split(separator: " ").map(String.init) ?? []
      #expect(words.prefix(6) == [address, "UDP", "\(Lan.vip):53", "draining", "1", "1"])
      #expect(words[6].hasPrefix(">") && words.last == "rehash")
      #expect(try numbers("connections", in: director.get("drains")) == [1])
      let metrics = try director.host.run(
        "curl -sS --unix-socket \(director.controlPath) http://director/metrics")
      let labels = "{service=\"UDP \(Lan.vip):53\",real_server=\"\(address)\"}"
      let drain = labels.dropLast() + ",then=\"rehash\"}"
      #expect(metrics.contains("\nmartinet_drain_connections\(drain) 1\n"))
      #expect(metrics.contains("\nmartinet_drain_oldest_connection_seconds\(drain) "))
      #expect(metrics.contains("\nmartinet_real_server_weight\(labels) 0\n"))

      // The deadline is drawn nearer.
      try director.martinet("drain \(address) --deadline 1s --then rehash")
      #expect(try waitUntil { try served.query(fromPort: 5001) == other })
      #expect(try director.ipvsadm("-Ln").contains(" drained"))
      try director.martinet("drain cancel \(address)")
      let names = Set(try (5010..<5014).map { try served.query(fromPort: $0) })
      #expect(names == ["rs1", "rs2"])
    }

    /// TCP: a client ends what it began, and who waits for it is told so.
    @Test func aConnectionEndsByItselfAndIsWaitedFor() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, ["192.168.1.151"])
      try director.ipvsadm("--set 900 1 300")
      let go = "/tmp/martinet-test-\(getpid())-drain"
      defer { unlink(go) }
      let client = try served.lan.client.start([
        "bash", "-c",
        """
        exec 3<>/dev/tcp/\(Lan.vip)/80 && echo open
        until [[ -e \(go) ]]; do sleep 0.02; done
        printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3
        cat <&3
        """,
      ])
      #expect(waitUntil { client.output.contains("open") })
      try director.ipvsadm("-a \(ServedLan.web) -r 192.168.1.152")
      let waiting = try director.host.start(
        [RunningDirector.executable, "drain", "192.168.1.151", "--wait"],
        environment: ["MARTINET_CONTROL": director.controlPath])
      #expect(waitUntil { waiting.output.contains("draining") }, "\(waiting.output)")
      #expect(try served.ask(3) == Array(repeating: .body("rs2"), count: 3))
      #expect(waiting.wait(seconds: 0) == nil, "\(waiting.output)")
      try Data().write(to: URL(fileURLWithPath: go))
      #expect(client.wait(seconds: 20) == .exit(0))
      #expect(client.output.contains("rs1"), "\(client.output)")
      #expect(waiting.wait(seconds: 60) == .exit(0), "\(waiting.output)")
      #expect(waiting.output.contains(" empty "), "\(waiting.output)")
    }

    @Test func whatCannotBeDrainedIsSaid() throws {
      let wire = try Wire()
      let director = try RunningDirector(on: wire.director)
      for (arguments, words) in [
        ("192.0.2.7", "no service has a real server 192.0.2.7"),
        ("cancel 192.0.2.7", "no service has a real server 192.0.2.7"),
        ("nonsense", "'nonsense' is no IP address"),
        ("192.0.2.7 --deadline soon", "'soon' is no time"),
        ("192.0.2.7 --then purge", "give --deadline too"),
        ("192.0.2.7 --service 80", "'80' is no service"),
      ] {
        let (ending, output) = try director.host.finish(
          [RunningDirector.executable, "drain"] + arguments.split(separator: " ").map(String.init),
          environment: ["MARTINET_CONTROL": director.controlPath])
        #expect(ending != .exit(0) && output.contains(words), "\(arguments): \(output)")
      }
    }
  }
}
