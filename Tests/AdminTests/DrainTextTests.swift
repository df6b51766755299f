// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import DataPlane
import TestSupport
import Testing

/// `martinet drain` for people.
@Suite struct DrainTextTests {
  @Test func aLinePerDrain() {
    let drain = DrainReport(
      service: .web,
      realServer: RealServerAddress(address: IPAddress("192.168.1.151")!, port: Port(80)),
      phase: .draining, then: .rehash, elapsedSeconds: 65, secondsToDeadline: 235,
      initialConnections: 12, connections: 3, oldestSeconds: 7800, secondsToEmpty: 3700)
    #expect(
      DrainText.table([drain]) == """
        REAL SERVER     SERVICE                STATE    LEFT  OF    OLDEST  SINCE   EMPTY IN \
        DEADLINE THEN
        192.168.1.151   TCP  192.168.1.149:80  draining 3     12    >2h10m  1m5s    1h1m     \
        3m55s    rehash

        """)
  }

  @Test(
    arguments: [
      (0, "0s"), (59, "59s"), (60, "1m"), (61, "1m1s"), (3600, "1h"), (3661, "1h1m"),
      (86_400, "1d"), (90_000, "1d1h"), (UInt64.max, "213503982334601d7h"),
    ] as [(UInt64, String)])
  func times(seconds: UInt64, text: String) { #expect(DrainText.time(seconds) == text) }

  @Test(
    arguments: [
      ("tcp:192.168.1.149:80", VirtualServiceKey.web), ("udp:192.168.1.149:53", .dns),
      ("tcp:[2001:db8::149]:80", .webIPv6), ("sctp:192.168.1.149:2905", .signalling),
      ("mark:7:6", VirtualServiceKey(mark: FirewallMark(rawValue: 7), isIPv6: true)),
      ("tcp", nil), ("tcp:", nil), ("tcp:192.168.1.149", nil), ("dccp:192.168.1.149:80", nil),
      ("mark:7", nil), ("mark:0:4", nil), ("", nil), (":", nil),
    ] as [(String, VirtualServiceKey?)])
  func servicesOnTheCommandLine(text: String, key: VirtualServiceKey?) {
    #expect(VirtualServiceKey(commandLine: text) == key)
  }
}
