// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

@testable import DataPlane

/// How old a connection is, of which its record keeps eight bits.
@Suite struct BirthStampTests {
  /// What is known of an age is never too much, and short of it by 8.2 s or 18 % at most, until
  /// 32 days, and no less than those from then on; wherever the clock of 32 bits begins.
  @Test(arguments: [0, 1 << 13, 1 << 31, UInt32.max - 5000, UInt32.max - 1 << 20])
  func anAgeIsALowerBound(start: UInt32) {
    var generator = Seed(UInt64(start))
    var now = Tick(rawValue: start)
    var stamp = BirthStamp(at: now)
    var age: UInt64 = 0
    while age < 60 * 86_400_000 {
      // A sweep every 16 s, or later where the table is as large as can be.
      let step = UInt32.random(in: 1...40_000, using: &generator)
      now = now.advanced(byMilliseconds: step)
      age += UInt64(step)
      let known = UInt64(stamp.leastAge(at: now))
      let lack = min(age, 32 * 86_400_000) - min(known, age, 32 * 86_400_000)
      guard known <= age, lack <= max(8192, age * 18 / 100) else {
        Issue.record("\(known) of \(age) ms, seed \(generator.seed)")
        return
      }
      stamp = stamp.renewed(at: now) ?? stamp
    }
  }

  /// A worker writes on while its table is read.
  @Test func oneThatIsYoungerThanTheReadersClockIsNew() {
    for start: UInt32 in [0, 8191, 8192, .max] {
      let birth = Tick(rawValue: start)
      for early: UInt32 in [1, 1000, 8192] {
        let reader = birth.advanced(byMilliseconds: 0 &- early)
        #expect(BirthStamp(at: birth).leastAge(at: reader) == 0)
      }
    }
  }

  /// A sweep that comes too late, at a worker that stood still, makes nothing older than it is.
  @Test func whatComesLateLosesAge() {
    var generator = Seed(9)
    for _ in 0..<10_000 {
      let birth = Tick(rawValue: .random(in: 0 ... .max, using: &generator))
      let late = UInt32.random(in: 0...3_000_000_000, using: &generator)
      var now = birth.advanced(byMilliseconds: late)
      var stamp = BirthStamp(at: birth)
      stamp = stamp.renewed(at: now) ?? stamp
      #expect(stamp.leastAge(at: now) <= late)
      now = now.advanced(byMilliseconds: 40_000)
      #expect(stamp.leastAge(at: now) <= late + 40_000)
    }
  }

  /// Packets, changes of state and sweeps leave a birth alone; a connection that begins anew in
  /// the same record has its own.
  @Test(arguments: ["192.168.1.149", "2001:db8::149"])
  func itOutlivesWhatHappensToTheConnection(vip: String) throws {
    let client = vip.contains(":") ? "2001:db8:1::1" : "10.0.0.1"
    let syn = PacketBuilder(from: client, to: vip)
    let desk = try ForwarderDesk()
    try desk.adopt(.site())
    func age() throws -> Double {
      Double(try #require(desk.connections.first).leastAgeMilliseconds) / 1000
    }
    let begin = desk.now
    _ = desk.forward(syn)
    #expect(try age() == 0)
    for _ in 0..<600 {
      _ = desk.forward(syn.with { $0.tcpFlags = .ack })
      desk.advance(seconds: 10)
      desk.forwarder.sweep(now: desk.now)
    }
    let lived = Double(desk.now.milliseconds(since: begin)) / 1000
    #expect(try (lived * 0.82...lived).contains(age()))
    _ = desk.forward(syn.with { $0.tcpFlags = [.fin, .ack] })
    #expect(try (lived * 0.82...lived).contains(age()), "a change of state")
    _ = desk.forward(syn)
    #expect(desk.connections.count == 1)
    #expect(try age() == 0, "a SYN after the end begins anew")
  }
}
