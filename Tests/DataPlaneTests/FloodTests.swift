// SPDX-License-Identifier: Apache-2.0
import Glibc
import TestSupport
import Testing

@testable import DataPlane

/// A flood of SYNs over a real veth to a worker whose turns the test takes: each of them is
/// forwarded, or counted where it was lost.
@Suite(
  .requires(.root, .networkNamespaces, .xdpSockets, .commands("ip", "ethtool")), .serialized)
struct FloodTests {
  /// An interface that can be kept in a class.
  private final class OpenInterface {
    var ports: OpenPorts

    init(_ mode: XDPMode) throws {
      ports = try OpenPorts([
        PortConfiguration(interface: "lan0", xdpMode: mode, copyMode: .copy)
      ])
    }

    func attach() throws { try ports.attach() }
  }

  /// One queue of one interface, attached.
  private final class Bench {
    let wire: TestSupport.Wire
    private let interface: OpenInterface
    var loop: WorkerLoop
    private var sockets: WorkerSockets
    private let snapshot: Snapshot
    private var sent: UInt64 = 0

    init(_ mode: XDPMode) throws {
      wire = try TestSupport.Wire()
      let interface = try wire.director.namespace.perform { try OpenInterface(mode) }
      self.interface = interface
      let port = interface.ports.ports[0]
      let socket = port.pointee.sockets[0]
      loop = WorkerLoop(
        [QueueMemory(socket.pointee, admission: port.pointee.admission(of: 0))],
        forwarder: try Forwarder(
          ForwarderConfiguration(ipv4Entries: 1 << 14, ipv6Entries: 1 << 10), now: .now()))
      sockets = WorkerSockets([socket.pointee.fileDescriptor], alarm: -1)
      snapshot = try Snapshot(WorkerGroupTests.servers, generation: 1)
      loop.adopt(snapshot)
      try wire.director.namespace.perform { try interface.attach() }
      try interface.ports.open(VirtualPorts(of: OpenPortTests.key))
    }

    /// One turn of the worker's, whose limits end for the program long after the test.
    func turn() -> UInt32 {
      let received = loop.turn(now: Tick.now().advanced(byMilliseconds: 3_600_000))
      sockets.wake(loop)
      return received
    }

    private var port: UnsafeMutablePointer<OpenPort> { interface.ports.ports[0] }
    var cell: AdmissionCell { AdmissionCell(port.pointee.admission(of: 0)) }
    /// Frames that the program gave the socket and the worker did not get.
    var lost: UInt64 {
      let socket = port.pointee.sockets[0].pointee.statistics
      return socket.rxDropped + socket.rxRingFull + socket.fillRingEmpty
    }
    var program: ProgramCounters { port.pointee.counters }

    /// Sends, never more at once than the veth holds, until the program has decided all.
    func send(_ tap: FrameTap, _ packets: [PacketBuilder]) throws {
      for packet in packets {
        try tap.send(packet.frame)
        sent += 1
        guard sent % 100 == 0 else { continue }
        try #require(waitUntil { decided == sent })
      }
      try #require(waitUntil { decided == sent })
    }

    private var decided: UInt64 {
      program.services + program.withoutSocket + cell.dropped
    }
  }

  @Test(arguments: [XDPMode.native, .generic]) func everySYNIsForwardedOrCounted(
    _ mode: XDPMode
  ) throws {
    let bench = try Bench(mode)
    let tap = try bench.wire.far.tap("far0")
    func segments(_ ports: Range<UInt16>, _ flags: TCPFlags = .syn) -> [PacketBuilder] {
      ports.map { port in OpenPortTests.syn(port).with { $0.tcpFlags = flags } }
    }
    try bench.send(tap, segments(1..<11))
    while bench.turn() > 0 {}
    // With 1536 packets waiting it is behind.
    try bench.send(tap, segments(1000..<2600))
    #expect(bench.turn() == 64)
    try bench.send(tap, segments(3000..<4000))
    #expect(bench.cell.dropped == 1000 - 256)
    try bench.send(tap, segments(1..<11, .ack))
    #expect(bench.program == ProgramCounters(services: 10 + 1600 + 256 + 10))
    let counters = bench.loop.counters(of: 0)
    let isOver = waitUntil {
      while bench.turn() > 0 {}
      return counters[.completed] == 10 + 1600 + 256 + 10
    }
    #expect(isOver, "\(counters[.received]) \(counters[.forwarded]) \(counters[.completed])")
    #expect(counters[.received] == 1876 && counters[.forwarded] == 1876)
    #expect(bench.lost == 0)
    #expect(bench.loop.view.drops(.overloaded) == 744)
    let frameBytes = UInt64(OpenPortTests.syn().frame.count)
    #expect(bench.loop.view.dropBytes(.overloaded) == 744 * frameBytes)
  }
}
