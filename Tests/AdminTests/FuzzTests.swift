// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import AdminAPI

/// Any words and any text: a command or a refusal, never a trap. Fixtures/fuzz has one of each
/// kind, and what once failed, or nearly did.
///
/// For a long run: `MARTINET_FUZZ_SECONDS=600 swift test --filter FuzzTests` (see `Fuzz`).
@Suite struct FuzzTests {
  private let parser = IpvsadmParser(names: .none)

  /// Files of words, one per line, as they are, cut and mutated.
  @Test func filesOfArguments() throws {
    let fuzz = try Fuzz("arguments")
    #expect(fuzz.corpus.count >= 28)
    for (name, octets) in fuzz.corpus {
      for length in 0...octets.count { check(words(octets.prefix(length)), "\(name): \(length)") }
    }
    try fuzz.mutations(seeds: [1, 2, 3], inputs: 2000) { check(words($0[...]), "\($1)") }
  }

  @Test func filesOfTables() throws {
    let fuzz = try Fuzz("restore")
    #expect(fuzz.corpus.count >= 11)
    for (name, octets) in fuzz.corpus {
      check(table: String(decoding: octets, as: UTF8.self), "\(name)")
    }
    try fuzz.mutations(seeds: [4, 5, 6], inputs: 1000) {
      check(table: String(decoding: $0, as: UTF8.self), "\($1)")
    }
  }

  private func words(_ octets: ArraySlice<UInt8>) -> [String] {
    String(decoding: octets, as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  @Test(arguments: [1, 2, 3]) func arguments(number: UInt64) {
    var seed = Seed(number)
    var accepted = 0
    for _ in 0..<4000 where check(line(&seed), "seed \(number)") { accepted += 1 }
    // Neither side of the grammar is left out.
    #expect((400...3600).contains(accepted))
  }

  @Test(arguments: [4, 5, 6]) func tables(number: UInt64) {
    var seed = Seed(number)
    for _ in 0..<600 {
      var text = ""
      for _ in 0..<Int.random(in: 0...6, using: &seed) {
        text += line(&seed).joined(separator: seed.next() % 9 == 0 ? "\t" : " ")
        text += ["\n", "\r\n", "\n\n", "", "\u{2028}"].randomElement(using: &seed)!
      }
      check(table: text, "seed \(number)")
    }
  }

  private static let pieces = [
    "-A", "-E", "-D", "-a", "-e", "-d", "-L", "-l", "-C", "-Z", "-S", "-R", "-h", "--set", "-t",
    "-u", "-r", "-s", "-w", "-g", "-n", "-c", "-X", "-m", "-p", "-f", "--", "-", "=", "--weight=",
    "-i", "--tun-type", "gue", "--tun-port", "--tun-csum", "--pe", "sip", "--start-daemon",
    "master", "--stop-daemon", "--syncid", "--mcast-group", "224.0.0.81", "--mcast-ttl", "--daemon",
    "--tcp-service=", "rr", "wrr", "wlc", "0", "1", "80", "65535", "65536", "2147483647",
    "2147483648", "-1", "99999999999999999999", "192.0.2.1:80", "192.0.2.1", "[2001:db8::1]:80",
    "2001:db8::1", "[", "]", ":", "[]:1", "[]", "]:", "::", "0x7f.1:0", "1.2.3.4.5:6", "é", "\u{0}",
    "\u{301}", "🐦", "ipvsadm", "#", "'", "\"", " ", "%s", "../..", "localhost:http",
  ]

  private static let lines = [
    "-A -t 192.0.2.1:80 -s rr", "-E -u [2001:db8::1]:53 -s wrr", "-Dt 192.0.2.1:80",
    "-a -t 192.0.2.1:80 -r 192.0.2.2 -g -w 5", "-e -t 192.0.2.1:80 -r 192.0.2.2:80 -w 0",
    "-d -t 192.0.2.1:80 -r 192.0.2.2", "-C", "-Z -t 192.0.2.1:80", "--set 900 120 300", "-Lnc",
    "-L -n --stats --exact -t 192.0.2.1:80", "-Sn", "-A -t 192.0.2.1:80 -p 60 -M 255.255.255.0",
    "-E -t [2001:db8::1]:80 -p -M 64", "-Ln --persistent-conn", "-L --daemon", "-L --tun-info",
  ].map { $0.split(separator: " ").map(String.init) }

  /// Any words, or a good line with up to two words exchanged, added or left out.
  private func line(_ seed: inout Seed) -> [String] {
    if seed.next() % 3 == 0 {
      return (0..<Int.random(in: 0...8, using: &seed)).map { _ in word(&seed) }
    }
    var line = Self.lines.randomElement(using: &seed)!
    for _ in 0..<Int.random(in: 0...2, using: &seed) {
      let place = Int.random(in: 0..<max(1, line.count), using: &seed)
      switch Int.random(in: 0...2, using: &seed) {
      case 0 where !line.isEmpty: line[place] = word(&seed)
      case 1 where !line.isEmpty: line.remove(at: place)
      default: line.insert(word(&seed), at: min(place, line.count))
      }
    }
    return line
  }

  private func word(_ seed: inout Seed) -> String {
    (0...Int.random(in: 0...2, using: &seed)).map { _ in
      seed.next() % 20 == 0
        ? String(
          decoding: (0..<4).map { _ in UInt8.random(in: 0...255, using: &seed) }, as: UTF8.self)
        : Self.pieces.randomElement(using: &seed)!
    }.prefix(seed.next() % 3 == 0 ? 3 : 1).joined()
  }

  /// Whether the words make a command line.
  @discardableResult
  private func check(_ words: [String], _ comment: Comment? = nil) -> Bool {
    do throws(UsageError) {
      if case .change(let command) = try parser.parse(words) { check(command, comment) }
      return true
    } catch {
      #expect(!error.message.isEmpty && [2, 255].contains(error.exitCode), comment)
      return false
    }
  }

  private func check(table text: String, _ comment: Comment? = nil) {
    do throws(UsageError) {
      for line in try RestoreParser(parser: parser).parse(text) { check(line.command, comment) }
    } catch {
      #expect(error.message.hasPrefix("line "), comment)
    }
  }

  /// What the director may take for granted of a command line.
  private func check(_ command: Command, _ comment: Comment?) {
    switch command {
    case .addService(let service, _, _, let persistence, let isOnePacket, _),
      .editService(let service, _, _, let persistence, let isOnePacket, _):
      #expect(service.port != Port(0) || service.mark != nil || persistence != nil, comment)
      #expect(isOnePacket != true || service.mark != nil || service.ipProtocol == .udp, comment)
    case .addRealServer(let service, let server, let weight, _),
      .editRealServer(let service, let server, let weight, _):
      #expect(weight <= 2_147_483_647, comment)
      #expect(service.mark != nil || server.port == service.port, comment)
    case .setTimeouts(let timeouts):
      #expect(max(timeouts.tcp, timeouts.tcpFin, timeouts.udp) <= 86_400 * 31, comment)
    case .deleteService, .deleteRealServer, .clear, .zero: break
    case .setPolicy, .addToMark, .removeFromMark:
      Issue.record("ipvsadm has no words for these")
    }
  }
}
