// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import ControlPlane

/// What the network says of the director's own interfaces.
@Suite struct DirectorLinkTests {
  private static let packet = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149")

  @Test func anotherMACAddressOfTheDirectorIsInForceAtOnce() async throws {
    let desk = try Desk()
    try await desk.addWeb()
    let running = Task { try await desk.director.run() }
    defer { running.cancel() }
    let own = MACAddress("02:00:00:00:00:d2")!
    desk.neighbors.change(.link(0, own, mtu: 1500, isUp: true))
    try await eventually { desk.plane.generations.count == 2 }
    #expect(desk.plane.macAddress == own)
    #expect(desk.plane.forward(Self.packet).frame[6..<12].elementsEqual(own.octets))
  }

  /// Real servers are reached by the first of two interfaces.
  @Test func anotherMTUIsInForceAtOnceAndSaidWhereItMatters() async throws {
    let book = LogBook()
    let desk = try Desk(interfaces: 2, logger: book.logger)
    try await desk.addWeb()
    let running = Task { try await desk.director.run() }
    defer { running.cancel() }
    let large = Self.packet.with { $0.payload = .init(repeating: 7, count: 1500 - 40) }
    func warnings() -> [String] { book.lines.filter { $0.contains("not all fit") } }

    #expect(desk.plane.forward(large).verdict == .forward(0))
    desk.neighbors.change(.link(0, .director, mtu: 1400, isUp: true))
    try await eventually { desk.plane.generations.count == 2 }
    #expect(desk.plane.forward(large).verdict.answer == .packetTooBig)
    #expect(warnings().count == 1 && warnings()[0].contains("lan0 (MTU 1400)"), "\(book.lines)")
    desk.neighbors.change(.link(1, .director, mtu: 1400, isUp: true))
    try await eventually { desk.plane.generations.count == 3 }
    #expect(desk.plane.forward(large).verdict == .forward(0), "what comes in leaves")
    #expect(warnings().count == 1)
  }

  @Test func theDirectorEndsWithItsInterface() async throws {
    let desk = try Desk()
    desk.neighbors.change(.linkGone(0, name: "lan0"))
    let expected = DirectorError.system("interface lan0 is gone; bring it back and start again")
    await #expect(throws: expected) { try await desk.director.run() }
  }
}
