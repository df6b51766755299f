// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import TestSupport
import Testing

/// The README's differences in what becomes of connections, templates and counts, against a kernel
/// with its default settings.
extension Oracle {
  @Suite(.serialized) struct DeviationTests {
    private static let web = "-t \(TwoDirectors.vip):80"
    private static let names = "-u \(TwoDirectors.vip):53"

    @Test func ofSegments() throws {
      let pair = try TwoDirectors()
      func packet(_ port: UInt16, _ flags: TCPFlags = .syn) -> PacketBuilder {
        TwoDirectors.packet(from: port, flags: flags)
      }
      try pair.ipvsadm("-A \(Self.web) -s rr")
      let unserved = try pair.send(packet(1))
      #expect(unserved.kernel == .portUnreachable && unserved.martinet == .portUnreachable)
      try pair.ipvsadm("-a \(Self.web) -r 192.168.2.151")
      let stray = try pair.send(packet(1, .ack))
      #expect(stray.kernel == .reset && stray.martinet == .reset)
      try pair.show(
        .timeToLive, packet(2).with { $0.timeToLive = 2 }, kernel: .to(151, hops: 1),
        martinet: .to(151))
      for port in UInt16(10)...13 {
        try pair.agree(packet(port), on: 151)
        try pair.agree(packet(port, .ack), on: 151)
      }
      try pair.agree(packet(10, [.fin, .ack]), on: 151)
      try pair.agree(packet(13, .rst), on: 151)
      try pair.compareTables()
      try pair.show(
        .timeToLive, packet(2).with { $0.timeToLive = 1 }, kernel: .timeExceeded,
        martinet: .to(151))
      try pair.show(.clientPort20, packet(20), kernel: .reset, martinet: .to(151))

      try pair.ipvsadm("-e \(Self.web) -r 192.168.2.151 -w 0")
      try pair.ipvsadm("-a \(Self.web) -r 192.168.2.152")
      try pair.show(
        .synWithReset, packet(13, [.syn, .rst]), kernel: .nothing, martinet: .to(151))
      try pair.show(
        .reusedInFinWait, packet(10), kernel: .to(151, hops: 1), martinet: .to(152))
      try pair.show(.synToQuiesced, packet(11), kernel: .to(151, hops: 1), martinet: .to(152))
      try pair.agree(packet(12, .ack), on: 151)
      try pair.ipvsadm("-d \(Self.web) -r 192.168.2.151")
      try pair.agree(packet(12, .ack), on: nil)
      try pair.show(.synToRemoved, packet(12), kernel: .nothing, martinet: .to(152))
    }

    @Test func ofDatagrams() throws {
      let pair = try TwoDirectors()
      func query(_ port: UInt16) -> PacketBuilder {
        TwoDirectors.packet(.udp, from: port, to: 53).with {
          $0.payload = Array(0..<40)
          $0.fragmentField = 0
        }
      }
      try pair.ipvsadm("-A \(Self.names) -s rr")
      try pair.ipvsadm("-a \(Self.names) -r 192.168.2.151")
      try pair.agree(query(30), on: 151)
      try pair.compareTables()
      let whole = query(30).frame
      let first = try pair.send(Self.part(of: whole, from: 0, octets: 24, isLast: false))
      #expect(first.kernel == .nothing && first.martinet == .to(151), "\(first)")
      let last = try pair.send(Self.part(of: whole, from: 24, octets: 24, isLast: true))
      #expect(last.martinet == .to(151), "\(Deviation.fragments)")
      // The kernel sends what it reassembled in fragments of the size they came in.
      let forwarded = try #require(last.kernel.otherFrames, "\(last.kernel)")
      #expect(forwarded.allSatisfy { $0.starts(with: Lan.mac(151).octets) })
      #expect(forwarded.flatMap { $0.dropFirst(34) } == Array(whole.dropFirst(34)))

      try pair.ipvsadm("-a \(Self.names) -r 192.168.2.152")
      try pair.ipvsadm("-d \(Self.names) -r 192.168.2.151")
      try pair.show(.datagramToRemoved, query(30), kernel: .nothing, martinet: .to(152))
      // Nobody has this address. It comes first, because it was added last.
      try pair.ipvsadm("-a \(Self.names) -r 192.168.2.160")
      try pair.show(.unresolved, query(31), kernel: .nothing, martinet: .to(152))
    }

    @Test func ofTemplates() throws {
      let pair = try TwoDirectors()
      let client = "TCP 10.0.0.2:0 \(TwoDirectors.vip)"
      try pair.ipvsadm("-A \(Self.web) -s rr -p 100")
      try pair.ipvsadm("-a \(Self.web) -r 192.168.2.151")
      try pair.agree(TwoDirectors.packet(from: 1), on: 151)
      try pair.ipvsadm("-E \(Self.web) -s rr -p 300")
      try pair.agree(TwoDirectors.packet(from: 2), on: 151)
      let times = try pair.lines(of: client).map { $0.split(separator: " ")[1] }
      #expect(
        times.count == 2 && times[0] < "01:41" && times[1] > "03:30",
        "\(Deviation.templateTime): \(times)")

      try pair.ipvsadm("-a \(Self.web) -r 192.168.2.152")
      try pair.ipvsadm("-d \(Self.web) -r 192.168.2.151")
      try pair.agree(TwoDirectors.packet(from: 3), on: 152)
      let lines = try pair.lines(of: client)
      #expect(lines.count { $0.contains(":65535") } == 1, "\(Deviation.refusedTemplate): \(lines)")
      #expect(lines.count { $0.hasSuffix(" 192.168.2.152:80") } == 2, "\(lines)")
    }

    /// What lasts: templates over their time, and a time beyond 2^31 ms.
    @Test func ofTimes() throws {
      let pair = try TwoDirectors()
      func packet(_ port: UInt16, to vipPort: UInt16) -> PacketBuilder {
        TwoDirectors.packet(from: port, to: vipPort)
      }
      // What templates have left, of the kernel, then of Martinet.
      func seconds(of vipPort: Int) throws -> [Int] {
        try pair.lines(of: "TCP 10.0.0.2:0 \(TwoDirectors.vip):\(vipPort)").map { line in
          let time = line.split(separator: " ")[1].split(separator: ":").compactMap { Int($0) }
          return time[0] * 60 + time[1]
        }
      }
      let month = 31 * 86_400
      for (port, timeout) in [(81, 2), (82, month)] {
        try pair.ipvsadm("-A -t \(TwoDirectors.vip):\(port) -s rr -p \(timeout)")
        try pair.ipvsadm("-a -t \(TwoDirectors.vip):\(port) -r 192.168.2.151")
        try pair.agree(packet(1, to: UInt16(port)), on: 151)
      }
      let long = try seconds(of: 82)
      #expect(long.count == 2 && long[0] > month - 60, "\(Deviation.longPersistence): \(long)")
      #expect((23 * 86_400..<25 * 86_400).contains(long[1]), "\(long)")
      // Past the timeout: the connection is in SYN_RECV still.
      let isOutlived = try waitUntil(seconds: 10) {
        let left = try seconds(of: 81)
        return left.first.map { $0 > 10 } ?? false
      }
      #expect(isOutlived)
      try pair.agree(packet(2, to: 81), on: 151)
      let again = try seconds(of: 81)
      #expect(again.count == 2 && again[0] > 50, "\(Deviation.outlivedTemplate): \(again)")
      // Of a timeout this short no more shows: the sweep keeps a template for 60 s too.
      #expect(again[1] <= 60, "\(again)")

      // -x below what is there already.
      try pair.ipvsadm("-A \(Self.web) -s rr")
      try pair.ipvsadm("-a \(Self.web) -r 192.168.2.152")
      for port in UInt16(1)...2 { try pair.agree(packet(port, to: 80), on: 152) }
      try pair.ipvsadm("-e \(Self.web) -r 192.168.2.152 -x 1")
      try pair.show(
        .loweredThreshold, packet(3, to: 80), kernel: .to(152, hops: 1), martinet: .portUnreachable)
      let refused = try pair.send(packet(4, to: 80))
      #expect(refused.kernel == .portUnreachable && refused.martinet == .portUnreachable)
    }

    /// The kernel's counts are what its estimator last saw, every two seconds.
    @Test func ofCounts() throws {
      let pair = try TwoDirectors()
      try pair.ipvsadm("-A \(Self.web) -s rr")
      try pair.ipvsadm("-a \(Self.web) -r 192.168.2.151")
      func count(_ packetsIn: Int, _ packetsOut: Int) throws -> Bool {
        try waitUntil(seconds: 5) {
          let kernel = try pair.statistics(of: "192.168.2.149:80").kernel
          return kernel[1] == packetsIn && kernel[2] == packetsOut
        }
      }
      try pair.show(
        .timeToLive, TwoDirectors.packet(from: 1).with { $0.timeToLive = 1 }, kernel: .timeExceeded,
        martinet: .to(151))
      #expect(try count(1, 1), "\(Deviation.answersOut)")
      #expect(try pair.statistics(of: "192.168.2.149:80").martinet == [1, 1, 0, 40, 0])

      // The estimator may look between the packet and the command.
      let isShown = try (1...5).contains { _ in
        try pair.ipvsadm("-Z")
        try pair.agree(TwoDirectors.packet(from: 1), on: 151)
        try pair.ipvsadm("-Z")
        return try count(1, 0)
      }
      #expect(isShown, "\(Deviation.zeroed)")
      #expect(try pair.statistics(of: "192.168.2.149:80").martinet == [0, 0, 0, 0, 0])
    }

    /// A fragment of an untagged frame's IP packet (RFC 791 §3.2), `octets` from `offset` behind
    /// the header on.
    private static func part(
      of frame: [UInt8], from offset: Int, octets: Int, isLast: Bool
    ) -> [UInt8] {
      var header = Array(frame[14..<34])
      header.replaceSubrange(2..<4, with: bigEndian(UInt16(20 + octets)))
      header.replaceSubrange(6..<8, with: bigEndian(UInt16(offset / 8) | (isLast ? 0 : 0x2000)))
      header.replaceSubrange(10..<12, with: [0, 0])
      header.replaceSubrange(10..<12, with: bigEndian(internetChecksum(header)))
      return frame[..<14] + header + frame[(34 + offset)..<(34 + offset + octets)]
    }
  }
}
