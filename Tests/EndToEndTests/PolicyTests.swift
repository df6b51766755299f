// SPDX-License-Identifier: Apache-2.0
import Glibc
import TestSupport
import Testing

/// A service's policies as its client meets them.
extension EndToEnd {
  @Suite(.serialized) struct PolicyTests {
    /// Opens a connection, says so, and asks for a document when a line comes in by the file.
    private static func client(_ go: String, port: Int) -> [String] {
      let script = """
        exec 3<>/dev/tcp/\(Lan.vip)/\(port) && echo open
        until [[ -e \(go) ]]; do sleep 0.02; done
        printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3
        cat <&3
        """
      return ["bash", "-c", script]
    }

    /// A connection to nginx lives while its real server is removed: with `purge` its next segment
    /// is answered by RST, with `rehash` by the other real server's RST, which knows nothing of it
    /// either; `keep` lets it wait until the real server returns.
    @Test(arguments: ["purge", "rehash", "keep"])
    func aConnectionWhoseRealServerGoes(_ removal: String) throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, ["192.168.1.151"])
      try director.martinet("service set \(ServedLan.web) --removal \(removal)")
      let go = "/tmp/martinet-test-\(getpid())-\(removal)"
      defer { unlink(go) }
      let client = try served.lan.client.start(Self.client(go, port: 80))
      #expect(waitUntil { client.output.contains("open") })
      try director.ipvsadm("-a \(ServedLan.web) -r 192.168.1.152")
      try director.ipvsadm("-d \(ServedLan.web) -r 192.168.1.151")
      _ = try Child.run(["touch", go])
      if removal == "keep" {
        #expect(client.wait(seconds: 1) == nil, "\(client.output)")
        try director.ipvsadm("-a \(ServedLan.web) -r 192.168.1.151")
        #expect(client.wait(seconds: 20) == .exit(0))
        #expect(client.output.contains("rs1"), "\(client.output)")
      } else {
        // Whichever of its system calls comes first after the RST says so.
        #expect(client.wait(seconds: 20) != nil)
        #expect(client.output.contains("Connection reset by peer"), "\(client.output)")
      }
      let resets = try numbers("reset", in: director.get("queues")).reduce(0, +)
      #expect((resets > 0) == (removal == "purge"))
    }

    /// A table of eight under twenty handshakes, as `martinet queues` shows it.
    @Test func aFullTableIsShown() throws {
      let served = try ServedLan()
      let path = "/tmp/martinet-test-\(getpid()).yaml"
      try "interface: {name: lan0, copy-mode: copy}\ncapacity: {ipv4-connections: 8}\n"
        .write(toFile: path, atomically: true, encoding: .utf8)
      defer { unlink(path) }
      let director = try RunningDirector(on: served.lan.director, ["--config", path])
      try director.serve(ServedLan.web, ["192.168.1.151"])
      #expect(try served.ask(20) == Array(repeating: .body("rs1"), count: 20))
      let text = try director.martinet("queues")
      #expect(text.contains(" 8/8 100% "), "\(text)")
      let unrecorded = try numbers("unrecorded", in: director.martinet("queues --json"))
      #expect(try unrecorded == numbers("unrecorded", in: director.get("queues")))
      #expect(unrecorded.allSatisfy { $0 >= 12 }, "\(unrecorded)")
    }

    /// What traceroute does: the first hop behind the router is the director, and the client's
    /// kernel says EHOSTUNREACH when the SYN's time ends there.
    @Test func aTimeToLiveThatEndsHereIsToldToTheClient() throws {
      let served = try ServedLan()
      let director = try RunningDirector(on: served.lan.director)
      try director.serve(ServedLan.web, ["192.168.1.151"])
      try served.lan.client.run("sysctl -qw net.ipv4.ip_default_ttl=2")
      #expect(try served.ask(1) == [.body("rs1")], "the router takes one, the director none")
      try director.martinet("service set \(ServedLan.web) --ttl decrement")
      #expect(try served.ask(1) == [.refused])
      #expect(try numbers("timeExceeded", in: director.get("queues")).reduce(0, +) >= 2)
      try served.lan.client.run("sysctl -qw net.ipv4.ip_default_ttl=3")
      #expect(try served.ask(1) == [.body("rs1")])
      try director.martinet("service set \(ServedLan.web) --ttl one")
      #expect(try served.ask(1) == [.body("rs1")])
    }
  }
}
