// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import ControlPlane

/// What is made of a real server that moves, falls silent, or has a double.
@Suite struct NeighborHistoryTests {
  private static let present = Neighbor(macAddress: .realServer(1), isResolved: true)
  private static let moved = Neighbor(macAddress: .realServer(2), isResolved: true)
  private static let silent = Neighbor(macAddress: .realServer(1), isResolved: false)
  private static let unknown = Neighbor(macAddress: nil, isResolved: false)

  /// (seconds, what it becomes) from `unknown`, with what each is taken for.
  @Test(
    arguments: [
      ("first answer", [(0, present, [.answered])]),
      (
        "silence and return",
        [
          (0, present, [.answered]), (9, silent, [.fellSilent]),
          (20, present, [.answered]),
        ]
      ),
      ("moved", [(0, present, [.answered]), (9, moved, [.changedAddress])]),
      (
        "moved twice",
        [
          (0, present, [.answered]), (9, moved, [.changedAddress]),
          (80, present, [.changedAddress]),
        ]
      ),
      (
        "two hosts",
        [
          (0, present, [.answered]), (9, moved, [.changedAddress]),
          (69, present, [.changedAddress, .duplicate]),
          (70, moved, [.changedAddress, .duplicate]),
        ]
      ),
      (
        "back with another address",
        [
          (0, present, [.answered]), (9, silent, [.fellSilent]),
          (20, moved, [.changedAddress, .answered]),
        ]
      ),
      (
        "three silences in ten minutes",
        [
          (0, present, [.answered]), (9, silent, [.fellSilent]),
          (20, present, [.answered]), (300, silent, [.fellSilent]), (310, present, [.answered]),
          (609, silent, [.fellSilent, .flapped]),
        ]
      ),
      (
        "three silences in more",
        [
          (0, present, [.answered]), (9, silent, [.fellSilent]),
          (20, present, [.answered]), (300, silent, [.fellSilent]), (310, present, [.answered]),
          (610, silent, [.fellSilent]),
        ]
      ),
    ] as [(String, [(Int, Neighbor, [NeighborChange])])])
  func changes(name: String, steps: [(Int, Neighbor, [NeighborChange])]) {
    var history = NeighborHistory(at: .zero)
    var before = Self.unknown
    for (seconds, after, expected) in steps {
      #expect(history.note(before, after, at: .seconds(seconds)) == expected, "\(name) \(seconds)")
      before = after
    }
  }

  @Test func whatTheDirectorSays() async throws {
    let book = LogBook()
    let desk = try Desk(logger: book.logger)
    try await desk.addWeb(realServers: 1...1)
    let address = RealServerConfiguration.number(1).address
    let following = Task { try await desk.director.run() }
    defer { following.cancel() }
    func status() async throws -> NeighborStatus {
      try #require(await desk.director.neighborStatuses().first)
    }
    func changed(_ neighbor: Neighbor) async throws -> NeighborStatus {
      desk.neighbors.change(address, to: neighbor)
      while try await status().neighbor != neighbor { await Task.yield() }
      return try await status()
    }
    desk.advance(seconds: 40)
    let first = try await status()
    #expect(first.address == address && first.services == [.web] && first.ageSeconds == 40)
    #expect(first.neighbor == Self.present && first.changes == 0 && first.silences == 0)
    let second = try await changed(Self.moved)
    #expect(second.ageSeconds == 0 && second.changes == 1 && !second.isDuplicate)
    #expect(second.previousMACAddress == .realServer(1))
    #expect(try await changed(Self.present).isDuplicate)
    desk.advance(seconds: 601)
    #expect(try await !status().isDuplicate)
    #expect(try await changed(Self.silent).silences == 1)
    for _ in 2...3 {
      #expect(try await !changed(Self.present).isFlapping)
      _ = try await changed(Self.silent)
    }
    #expect(try await status().isFlapping)
    let events = await desk.director.neighborEvents
    #expect(
      events == [.changedAddress: 2, .duplicate: 1, .fellSilent: 3, .answered: 2, .flapped: 1])
    for words in [
      "has another MAC address ", "has its MAC address of before again", "does not answer on",
      "answers ", "comes and goes",
    ] {
      let isSaid = book.lines.contains {
        $0.hasPrefix("real server \(words)") && $0.contains(" address=\(address) ")
      }
      #expect(isSaid, "\(words)")
    }
    try await desk.director.deleteRealServer(address, port: Port(80), from: .web)
    #expect(await desk.director.neighborStatuses().isEmpty)
  }
}
