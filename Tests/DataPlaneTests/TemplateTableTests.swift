// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import DataPlane

/// The table that several workers write.
@Suite struct TemplateTableTests {
  private let now = Tick(rawValue: UInt32.max - 10)

  private func template(_ realServer: UInt16, _ identity: UInt64) -> Template {
    Template(
      realServer: realServer, identity: identity, expiry: now.advanced(byMilliseconds: 60_000))
  }

  /// A template's fields lie apart, over the wrap of the clock too.
  @Test func fields() {
    let identity: UInt64 = 0xfedc_ba98_7654_3211
    let template = template(0xabcd, identity)
    #expect(template.realServer == 0xabcd && !template.isAssured)
    #expect(template.assured.isAssured && template.assured.realServer == 0xabcd)
    #expect(template.isLive(identity, at: now) && template.assured.isLive(identity, at: now))
    #expect(!template.isLive(identity, at: now.advanced(byMilliseconds: 60_000)))
    #expect(!template.isLive(identity ^ 1 << 63, at: now))
    #expect(template.assured.until(now).expiry == now)
    #expect(!Template(rawValue: 0).isLive(0, at: now))
  }

  @Test func theFirstProposalIsAgreedOn() throws {
    let templates = try Templates(entries: 64)
    defer { withExtendedLifetime(templates) {} }
    let table = templates.table
    let first = table.agree(
      on: template(1, 3), for: 3, client: (0, 1), refused: nil, now: now)
    let second = table.agree(
      on: template(2, 3), for: 3, client: (0, 1), refused: nil, now: now)
    #expect(first == template(1, 3) && second == first)
    let replaced = table.agree(
      on: template(2, 3), for: 3, client: (0, 1), refused: first, now: now)
    #expect(replaced == template(2, 3))
    #expect(table.find(3, now: now)?.template == replaced)
  }

  /// Threads that propose different real servers for the same clients at once: each client has one,
  /// and everyone was told the same.
  @Test(arguments: 1...3) func threadsAgree(seed: UInt64) throws {
    let templates = try Templates(entries: 1 << 12)
    defer { withExtendedLifetime(templates) {} }
    let table = templates.table
    let clients = 500
    let threads: UInt16 = 4
    let told = Mutex<[UInt64: Set<UInt16>]>([:])
    let now = now
    DispatchQueue.concurrentPerform(iterations: Int(threads)) { thread in
      var answers: [(UInt64, UInt16)] = []
      for client in 1...UInt64(clients) {
        let identity = (client &* 0x9e37_79b9_7f4a_7c15 &+ seed) | 1
        let proposal = Template(
          realServer: UInt16(thread) + 1, identity: identity,
          expiry: now.advanced(byMilliseconds: 60_000))
        let agreed = table.agree(
          on: proposal, for: identity, client: (0, client), refused: nil, now: now)
        answers.append((identity, agreed?.realServer ?? 0))
      }
      told.withLock { told in
        for (identity, server) in answers { told[identity, default: []].insert(server) }
      }
    }
    told.withLock { told in
      #expect(told.count == clients)
      for (identity, servers) in told {
        #expect(servers.count == 1 && servers.first.map { (1...threads).contains($0) } == true)
        #expect(table.find(identity, now: now)?.template.realServer == servers.first)
      }
    }
  }

  /// Identities that meet in one bucket take its eight places and no other's.
  @Test func aBucketHoldsEight() throws {
    let templates = try Templates(entries: 8)
    defer { withExtendedLifetime(templates) {} }
    let table = templates.table
    for identity in stride(from: UInt64(1), through: 15, by: 2) {
      #expect(
        table.agree(
          on: template(1, identity), for: identity, client: (0, 0), refused: nil, now: now) != nil)
    }
    #expect(
      table.agree(on: template(1, 17), for: 17, client: (0, 0), refused: nil, now: now) == nil)
    let later = now.advanced(byMilliseconds: 60_001)
    let fresh = Template(
      realServer: 2, identity: 17, expiry: later.advanced(byMilliseconds: 1000))
    #expect(table.agree(on: fresh, for: 17, client: (0, 0), refused: nil, now: later) == fresh)
  }
}
