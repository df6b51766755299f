// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

/// A table of one pair of lines, eight entries: every order in which ten connections come into it,
/// and every choice of those that end before others come.
@Suite struct TinyTableTests {
  private static let packet = PacketBuilder(from: "10.0.0.1", to: "192.168.1.149")

  private func orders(_ elements: [UInt16]) -> [[UInt16]] {
    guard elements.count > 1 else { return [elements] }
    return elements.indices.flatMap { first in
      var rest = elements
      let element = rest.remove(at: first)
      return orders(rest).map { [element] + $0 }
    }
  }

  private func send(_ desk: ForwarderDesk, _ port: UInt16, _ flags: TCPFlags) -> UInt8? {
    let result = desk.forward(
      Self.packet.with {
        $0.sourcePort = Port(port)
        $0.tcpFlags = flags
      })
    return result.verdict.isForward ? result.frame[5] : nil
  }

  /// Ports of the connections that the table lists.
  private func listed(_ desk: ForwarderDesk) -> Set<UInt16> {
    Set(desk.connections.map(\.clientPort.rawValue))
  }

  @Test func everyOrderOfComingAndGoing() throws {
    let (resident, moving) = ([UInt16(1), 2, 3, 4], [UInt16(5), 6, 7, 8])
    let endings = 0..<UInt16(1 << moving.count)
    let cases = orders(moving).flatMap { order in endings.map { (order, $0) } }
    let desk = try ForwarderDesk(entries: 8)
    try desk.adopt(.site())
    for (order, ending) in cases {
      let ended = moving.indices.filter { ending >> $0 & 1 == 1 }
      check(desk, resident, order, ended: ended)
    }
  }

  private func check(
    _ desk: ForwarderDesk, _ resident: [UInt16], _ order: [UInt16], ended: [Int]
  ) {
    desk.endConnections()
    let unrecorded = desk.view.unrecorded
    var chosen: [UInt16: UInt8] = [:]
    for port in resident + order {
      chosen[port] = send(desk, port, .syn)
      #expect(send(desk, port, .ack) == chosen[port])
    }
    #expect(listed(desk) == Set(resident + order), "eight connections fill eight entries")
    let gone = ended.map { order[$0] }
    for port in gone { _ = send(desk, port, .rst) }
    // CLOSE is kept 10 s, ESTABLISHED 900 s; nothing sweeps: an expired entry is taken over.
    desk.advance(seconds: 10.1)
    let newcomers = (0..<4).map { UInt16(100 + $0) }
    for port in newcomers { chosen[port] = send(desk, port, .syn) }
    let recorded = newcomers.prefix(gone.count)
    #expect(listed(desk) == Set(resident + order).subtracting(gone).union(recorded))
    #expect(desk.view.unrecorded - unrecorded == UInt64(newcomers.count - gone.count))
    #expect(desk.view.ipv4Connections == 8)
    for port in Set(resident + order).subtracting(gone).union(newcomers) {
      #expect(send(desk, port, .ack) == chosen[port], "\(order), ended \(gone): \(port)")
    }
    let counted = [1, 2].map { desk.view.statistics(of: RealServerIndex(rawValue: $0)) }
    #expect(counted.reduce(0) { $0 + $1.active + $1.inactive } == 8)
  }
}
