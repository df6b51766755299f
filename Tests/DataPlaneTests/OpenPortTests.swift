// SPDX-License-Identifier: Apache-2.0
import Glibc
import TestSupport
import Testing

@testable import DataPlane

/// Programs, sockets and rings of the running kernel, on a cable in a namespace.
@Suite(
  .requires(.root, .networkNamespaces, .xdpSockets, .commands("ip", "ethtool")), .serialized)
struct OpenPortTests {
  static let key = VirtualServiceKey(
    address: IPAddress("192.168.2.149")!, ipProtocol: .tcp, port: Port(80))
  static let key6 = VirtualServiceKey(
    address: IPAddress("fd00:2::149")!, ipProtocol: .tcp, port: Port(80))

  static func syn(_ sourcePort: UInt16 = 40000, payload: [UInt8] = []) -> PacketBuilder {
    PacketBuilder(from: "10.9.9.9", to: "192.168.2.149").with {
      $0.destinationMAC = TestSupport.Wire.directorMAC
      $0.sourceMAC = TestSupport.Wire.farMAC
      $0.sourcePort = Port(sourcePort)
      $0.payload = payload
    }
  }

  private func open(
    _ wire: TestSupport.Wire, _ interface: String = "lan0", xdpMode: XDPMode = .native,
    copyMode: CopyMode = .copy, queues: QueueSelection = .all
  ) throws -> PortBox {
    let configuration = PortConfiguration(
      interface: interface, xdpMode: xdpMode, copyMode: copyMode, queues: queues)
    return try wire.director.namespace.perform { try PortBox(configuration) }
  }

  private func error(_ body: () throws -> Void) -> PortError? {
    do {
      try body()
      return nil
    } catch {
      return error as? PortError
    }
  }

  private func programs(on wire: TestSupport.Wire) throws -> Bool {
    try wire.director.run("ip -d link show lan0").contains("prog/xdp")
  }

  @Test(arguments: [XDPMode.native, .generic]) func aServicesFrameLandsInTheRing(
    _ mode: XDPMode
  ) throws {
    let wire = try TestSupport.Wire()
    let box = try open(wire, xdpMode: mode)
    #expect(try !programs(on: wire), "nothing is attached before the last step")
    try wire.director.namespace.perform { try box.ports.attach() }
    try box.ports.open(VirtualPorts(of: Self.key))
    let far = try wire.far.tap("far0")
    let director = try wire.director.tap("lan0")
    box.giveFrames(4, queue: 0)

    let other = Self.syn().with { $0.destinationPort = Port(81) }.frame
    try far.send(other)
    #expect(director.next { $0.octets == other } != nil, "another port is the kernel's")
    let frame = Self.syn().frame
    try far.send(frame)
    #expect(box.receive(queue: 0) == frame)
    #expect(box.ports.counters == ProgramCounters(services: 1))
    #expect(box.ports.ports[0].pointee.sockets[0].pointee.statistics == XDPStatistics())

    let large = Self.syn(payload: [UInt8](repeating: 7, count: 1460)).frame
    try far.send(large)
    #expect(box.receive(queue: 0) == large, "the interface's largest frame fits")

    box.ports.detach()
    #expect(try !programs(on: wire))
    try far.send(frame)
    #expect(director.next { $0.octets == frame } != nil, "detached, all is the kernel's")
  }

  @Test func whatIsInEffectIsDescribed() throws {
    let wire = try TestSupport.Wire(queues: 2)
    let box = try open(wire)
    let description = box.ports.ports[0].pointee.description
    #expect(description.name == "lan0")
    #expect(description.macAddress == TestSupport.Wire.directorMAC)
    #expect(description.mtu == 1500)
    #expect(description.queueCount == 2)
    #expect(description.xdpMode == .native)
    #expect(!description.isZeroCopy, "a veth has none")
    #expect(description.hasTransmitBudget == Kernel.isAtLeast(6, 17))
    let socket = withExtendedLifetime(box) {
      SocketShape(box.ports.ports[0].pointee.sockets[1].pointee)
    }
    #expect(
      socket
        == SocketShape(
          queue: 1, frameBytes: 16384 * 2048, chunkBytes: 2048, fill: 16384, completion: 16384,
          receive: 16384, transmit: 2048, filled: 0))
  }

  @Test func everyQueueHasItsSocket() throws {
    let wire = try TestSupport.Wire(queues: 2)
    let box = try open(wire)
    try wire.director.namespace.perform { try box.ports.attach() }
    try box.ports.open(VirtualPorts(of: Self.key))
    for queue in 0..<2 { box.giveFrames(128, queue: queue) }
    let far = try wire.far.tap("far0")
    for number in 0..<64 { try far.send(Self.syn(40000 + UInt16(number)).frame) }
    var ports: Set<[UInt8]> = []
    for queue in 0..<2 {
      while let frame = box.receive(queue: queue, seconds: 0.3) {
        ports.insert(Array(frame[34..<36]))
      }
    }
    #expect(ports.count == 64, "each frame came by one queue or the other")
    #expect(box.ports.counters == ProgramCounters(services: 64))
  }

  @Test func theQueuesAreFreeAgainAfterClosing() throws {
    let wire = try TestSupport.Wire()
    for _ in 0..<3 { _ = try open(wire) }
  }

  @Test func aSecondInstanceIsRefused() throws {
    let wire = try TestSupport.Wire()
    let first = try open(wire)
    let busyQueue = error { _ = try open(wire) }
    #expect(busyQueue?.kind == .busy)
    #expect(busyQueue?.description.contains("another program owns queue 0 of lan0") == true)
    try wire.director.namespace.perform { try first.ports.attach() }
    let busyInterface = error { _ = try open(wire) }
    #expect(busyInterface?.kind == .busy)
    #expect(busyInterface?.description.contains("is attached to lan0 already") == true)
    #expect(try programs(on: wire), "the first one is not disturbed")
  }

  @Test func refusalsNameTheMend() throws {
    let wire = try TestSupport.Wire()
    func refusal(_ attempt: () throws -> PortBox) -> (PortError.Kind?, String) {
      let error = error { _ = try attempt() }
      return (error?.kind, error?.description ?? "")
    }
    func expect(
      _ refusal: (PortError.Kind?, String), _ kind: PortError.Kind, _ words: String,
      at location: SourceLocation = #_sourceLocation
    ) {
      #expect(refusal.0 == kind, sourceLocation: location)
      #expect(refusal.1.contains(words), "\(refusal.1)", sourceLocation: location)
    }
    expect(refusal { try open(wire, "wan7") }, .noSuchInterface, "no interface wan7")
    expect(
      refusal { try open(wire, String(repeating: "x", count: 300)) }, .noSuchInterface,
      "no interface")
    expect(refusal { try open(wire, "lo") }, .unsupported, "no Ethernet interface")
    expect(refusal { try open(wire, copyMode: .automatic) }, .unsupported, "--copy")
    expect(refusal { try open(wire, copyMode: .zeroCopy) }, .unsupported, "--copy")
    expect(
      refusal { try open(wire, xdpMode: .generic, copyMode: .zeroCopy) }, .unsupported,
      "--xdp-mode native")
    for count in [-1, 0, 2, Int.max] {
      expect(
        refusal { try open(wire, queues: .count(count)) }, .unsupported, "it uses 1;")
    }
    try wire.director.ip("link set lan0 mtu 3900")
    expect(refusal { try open(wire) }, .unsupported, "mtu 3818")
    try wire.director.ip("link set lan0 mtu 1500")
    _ = try open(wire, xdpMode: .generic, copyMode: .automatic)
  }

  @Test func aDriverThatCannotAttachSaysSo() throws {
    let wire = try TestSupport.Wire()
    try wire.far.ip("link set far0 mtu 9000")
    let box = try open(wire)
    let refusal = error { try wire.director.namespace.perform { try box.ports.attach() } }
    #expect(refusal?.kind == .unsupported)
    #expect(refusal?.description.contains("--xdp-mode generic") == true)
  }

  @Test func jumboFramesTakeLargerChunks() throws {
    let wire = try TestSupport.Wire()
    try wire.director.ip("link set lan0 mtu 3000")
    let box = try open(wire)
    withExtendedLifetime(box) {
      #expect(box.ports.ports[0].pointee.sockets[0].pointee.chunkBytes == 4096)
    }
  }
}

/// A port that can be kept in a class, and the test's own hands on its rings.
private final class PortBox: @unchecked Sendable {
  var ports: OpenPorts

  init(_ configuration: PortConfiguration) throws(PortError) {
    ports = try OpenPorts([configuration])
  }

  /// Gives the kernel `count` frames to receive into.
  func giveFrames(_ count: UInt32, queue: Int) {
    var fill = FillRing(ports.ports[0].pointee.sockets[queue].pointee.fill)
    _ = fill.reserve(count)
    for index in 0..<count { fill.write(UInt64(index) * 2048, at: index) }
    fill.submit(count)
  }

  /// The next frame of a queue's RX ring; nil when none comes.
  func receive(queue: Int, seconds: Double = 5) -> [UInt8]? {
    let deadline = monotonicSeconds() + seconds
    var ring = ReceiveRing(ports.ports[0].pointee.sockets[queue].pointee.receive)
    while monotonicSeconds() < deadline {
      let batch = ring.peek(1)
      guard batch.count == 1 else {
        usleep(1000)
        continue
      }
      let descriptor = batch.entries[0]
      let start = ports.ports[0].pointee.sockets[queue].pointee.frames + Int(descriptor.address)
      let frame = Array(UnsafeRawBufferPointer(start: start, count: Int(descriptor.length)))
      ring.release(1)
      return frame
    }
    return nil
  }
}

/// What a socket promises the worker.
private struct SocketShape: Equatable {
  var queue: UInt32
  var frameBytes: UInt64
  var chunkBytes: UInt32
  var fill: UInt32
  var completion: UInt32
  var receive: UInt32
  var transmit: UInt32
  var filled: UInt32
}

extension SocketShape {
  init(_ socket: borrowing QueueSocket) {
    self.init(
      queue: socket.queue, frameBytes: socket.frameBytes, chunkBytes: socket.chunkBytes,
      fill: socket.fill.entries, completion: socket.completion.entries,
      receive: socket.receive.entries, transmit: socket.transmit.entries,
      filled: socket.fill.producer.pointee)
  }
}

private enum Kernel {
  /// By uname(2).
  static func isAtLeast(_ major: Int, _ minor: Int) -> Bool {
    var names = utsname()
    uname(&names)
    let release = withUnsafeBytes(of: names.release) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    let numbers = release.split(separator: ".").prefix(2).map { Int($0) ?? 0 }
    return (numbers[0], numbers[1]) >= (major, minor)
  }
}
