// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

@testable import ControlPlane

#if !DEBUG
  /// `--rate` of both while a steady stream lasts and after its end.
  extension Oracle {
    @Suite(.serialized) struct RateTests {
      private static let streamSeconds = 6.0
      private static let totalSeconds = 9.5

      /// net/netfilter/ipvs/ip_vs_est.c: every 2 s an average moves a quarter of the way to what
      /// the last interval had a second. When intervals begin is each director's own matter. The
      /// kernel's are up to 80 ms longer, since a timer of 200 ticks ends at a multiple of 8
      /// (kernel/time/timer.c), and yet count as 2 s; Martinet's by what it does between them.
      ///
      /// A machine too busy for its timers makes one interval longer than the others: then all is
      /// done again.
      @Test func bothEstimateByTheSameFormula() throws {
        let pair = try TwoDirectors()
        var findings: [String] = []
        for port in UInt16(81)...83 {
          findings = try Self.findings(pair, port)
          if findings.isEmpty { break }
        }
        #expect(findings.isEmpty)
      }

      /// What contradicts the formula, after a stream to a new service on this port.
      private static func findings(_ pair: TwoDirectors, _ port: UInt16) throws -> [String] {
        let service = "-t \(TwoDirectors.vip):\(port)"
        try pair.ipvsadm("-A \(service) -s rr")
        for number in 151...152 { try pair.ipvsadm("-a \(service) -r 192.168.2.\(number)") }
        let running = try pair.kernel.start(guestScript(service))
        var stream = Stream()
        var listings: [Listing] = []
        let start = Date().timeIntervalSince1970
        for step in 0... {
          let now = Date().timeIntervalSince1970 - start
          if now > totalSeconds { break }
          if now < streamSeconds { try stream.send(pair, to: port) }
          if step % 20 == 0 { listings.append(try Listing(of: pair.martinet, service)) }
          let next = start + Double(step + 1) / Stream.cyclesPerSecond
          usleep(UInt32(max(0, next - Date().timeIntervalSince1970) * 1e6))
        }
        let (exitCode, text) = try pair.kernel.answer(to: running)
        guard exitCode == 0 else { throw Failure("listings: exit \(exitCode)\n\(text)") }
        let kernels = text.components(separatedBy: "from ").dropFirst().map(Listing.init)
        var findings = stream.findings(in: kernels, "kernel")
        findings += stream.findings(in: listings, "Martinet") + arithmeticFindings(kernels)
        let totals = try pair.answers(to: ["-Ln \(service) --stats --exact"]).map(\.answers)[0]
        #expect(totals.kernel == totals.martinet)
        return findings
      }

      /// Prints totals and rates over and over, and between which times.
      private static func guestScript(_ service: String) -> String {
        """
        SECONDS=0
        while ((SECONDS < \(Int(totalSeconds) + 1))); do
          echo "from $EPOCHREALTIME"
          for what in stats rate; do ipvsadm -Ln \(service) --$what --exact; done
          echo "until $EPOCHREALTIME"
          read -r -t 0.1 -u 3
        done
        true
        """
      }

      /// Martinet's estimator, given the totals that the kernel's had at the end of each interval,
      /// must come to the kernel's rates: its `--stats` are those totals, so that a row which
      /// differs from the one before tells of an interval's end. One may lie between the totals and
      /// the rates: then the totals after them differ.
      private static func arithmeticFindings(_ listings: [Listing]) -> [String] {
        let whole = zip(listings, listings.dropFirst()).filter { $0.totals == $1.totals }.map(\.0)
        return (whole.first?.totals.keys.sorted() ?? []).flatMap { name -> [String] in
          let rows = whole.map { ($0.totals[name] ?? [], $0.rates[name] ?? []) }
          var estimator = RateEstimator()
          var (ends, findings) = (0, [String]())
          for (row, last) in zip(rows.dropFirst(), rows) where row != last {
            ends += 1
            let numbers = row.0.map(UInt64.init)
            estimator.tick(
              Statistics(connections: numbers[0], inPackets: numbers[1], inBytes: numbers[3]))
            let rates = estimator.rates
            let expected = [rates.connections, rates.inPackets, 0, rates.inBytes, 0]
            if row.1.map(UInt64.init) != expected {
              findings.append("\(name), interval \(ends): \(row.1) with \(row.0), not \(expected)")
            }
          }
          print("kernel: \(name), \(ends) intervals recalculated")
          return findings + (ends < 4 ? ["\(name): \(ends) intervals"] : [])
        }
      }
    }
  }

  /// What a director listed of a service and its real servers, five numbers each, by their names.
  private struct Listing {
    /// Seconds of the wall clock.
    var start: Double
    var end: Double
    var totals: [String: [Int]] = [:]
    var rates: [String: [Int]] = [:]

    init(of martinet: RunningDirector, _ service: String) throws {
      start = Date().timeIntervalSince1970
      rates = Self.rows(try martinet.ipvsadm("-Ln \(service) --rate --exact"))
      end = Date().timeIntervalSince1970
    }

    /// - Parameter text: what the guest's script prints in one turn.
    init(_ text: String) {
      let lines = text.split(separator: "\n")
      start = lines.first.flatMap { Double($0) } ?? 0
      end = lines.last.flatMap { Double($0.dropFirst("until ".count)) } ?? 0
      let parts = text.components(separatedBy: "RemoteAddress:Port\n").dropFirst().map(Self.rows)
      if parts.count == 2 { (totals, rates) = (parts[0], parts[1]) }
    }

    private static func rows(_ text: String) -> [String: [Int]] {
      var rows: [String: [Int]] = [:]
      for words in text.split(separator: "\n").map({ $0.split(separator: " ") }) {
        let numbers = words.dropFirst(2).compactMap { Int($0) }
        if numbers.count == 5 { rows[String(words[1])] = numbers }
      }
      return rows
    }
  }

  /// Three segments of a new connection, 180 octets, over and over.
  private struct Stream {
    static let cyclesPerSecond = 50.0
    /// How far rates may be from what a cycle's multiples are: a real server's turn, packets still
    /// under way at the end of an interval, and its length.
    private static let tolerance = 1.0

    /// When each was sent.
    private var moments: [Double] = []

    mutating func send(_ pair: TwoDirectors, to port: UInt16) throws {
      moments.append(Date().timeIntervalSince1970)
      let client = UInt16(1024 + moments.count)
      let frames = [.syn, .ack, [.psh, .ack]].map { flags in
        TwoDirectors.packet(from: client, to: port, flags: flags).with {
          if flags.contains(.psh) { $0.payload = Array(repeating: 7, count: 60) }
        }.frame
      }
      for tap in [pair.kernel.tap, pair.wireTap] {
        for frame in frames { try tap.send(frame) }
        _ = tap.all(quietSeconds: 0) { _ in false }
      }
    }

    /// The formula's average at two moments, in cycles per second, where intervals of so many
    /// seconds begin so long after the stream.
    private func averages(at moments: [Double], phase: Double, period: Double) -> [Double] {
      let first = self.moments.first ?? 0
      return moments.map { moment in
        var (average, place, end) = (0.0, 0, first + phase)
        while end <= moment {
          let start = place
          while place < self.moments.count, self.moments[place] < end { place += 1 }
          average += (Double(place - start) / 2 - average) / 4
          end += period
        }
        return average
      }
    }

    /// How far the rates are from the formula's at worst.
    private func deviation(_ listings: [Listing], phase: Double, period: Double) -> Double {
      listings.reduce(0) { worst, listing in
        let averages = averages(at: [listing.start, listing.end], phase: phase, period: period)
        return listing.rates.reduce(worst) { worst, row in
          let share = row.key.hasPrefix(TwoDirectors.vip) ? 1.0 : 0.5
          return zip(row.value, [1, 3, 1, 180, 1]).enumerated().reduce(worst) { worst, pair in
            let (column, (rate, unit)) = pair
            let expected = column == 2 || column == 4 ? [0] : averages.map { $0 * share }
            let shown = Double(rate) / unit
            return max(worst, expected.min()! - shown, shown - expected.max()!)
          }
        }
      }
    }

    /// Empty where some phase explains all that was listed.
    func findings(in listings: [Listing], _ name: String) -> [String] {
      var best = (deviation: Double.infinity, phase: 0.0, period: 0.0)
      for period in stride(from: 2.0, through: 2.1, by: 0.01) {
        for phase in stride(from: 0, to: period, by: 0.02) {
          let deviation = deviation(listings, phase: phase, period: period)
          if deviation < best.deviation { best = (deviation, phase, period) }
        }
      }
      print("\(name): \(listings.count) listings of rates, \(best)")
      let isWorth = listings.contains { $0.rates.count == 3 }
      guard best.deviation > Self.tolerance || !isWorth else { return [] }
      return ["\(name): \(best), \(listings.map { ($0.start, $0.end, $0.rates) })"]
    }
  }
#endif
