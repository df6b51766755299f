// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// A real `Forwarder` on a desk: frames go in as octets, verdicts and octets come out; the test
/// owns the clock.
public final class ForwarderDesk {
  public let forwarder: Forwarder
  public var now: Tick
  public private(set) var generation: UInt64 = 0
  private var snapshot: Snapshot?
  private let frames: UnsafeMutableRawPointer
  private let frameBytes = 2048
  private let capacity = Forwarder.batchLimit

  /// `templates` and `localities`: those of all desks; this one's own if nil.
  public init(
    entries: Int = 1 << 10, ipv4Entries: Int? = nil, seed: UInt64 = 1,
    now: Tick = Tick(rawValue: 1000), templates: Templates? = nil, localities: Localities? = nil,
    sweepsTemplates: Bool = true
  ) throws {
    var generator = Seed(seed)
    self.now = now
    forwarder = try Forwarder(
      ForwarderConfiguration(
        ipv4Entries: ipv4Entries ?? entries, ipv6Entries: entries, templateEntries: entries,
        hashKey: HashKey(using: &generator)),
      templates: templates, localities: localities, sweepsTemplates: sweepsTemplates, now: now)
    frames = .allocate(byteCount: frameBytes * capacity, alignment: 64)
  }

  deinit { frames.deallocate() }

  public var view: ForwarderView { forwarder.view }

  /// All that the table lists.
  public var connections: [ConnectionDescription] {
    var connections: [ConnectionDescription] = []
    _ = view.forEachConnection(from: 0, to: .max, now: now) {
      connections.append($0)
      return true
    }
    return connections
  }

  public func adopt(_ specification: SnapshotSpecification) throws {
    generation += 1
    let next = try Snapshot(specification, generation: generation)
    forwarder.adopt(next)
    snapshot = next
  }

  /// One batch: a verdict and the frame as it is afterwards, for each of up to 64 frames.
  public func forward(_ input: [[UInt8]]) -> [(verdict: Verdict, frame: [UInt8])] {
    let descriptors = input.enumerated().map { index, frame in
      frame.withUnsafeBytes {
        (frames + index * frameBytes).copyMemory(from: $0.baseAddress!, byteCount: $0.count)
      }
      return FrameDescriptor(
        address: UInt64(index * frameBytes), length: UInt32(frame.count))
    }
    let verdicts = forward(descriptors)
    return zip(verdicts, descriptors).map { verdict, descriptor in
      let start = frames + Int(descriptor.address)
      return (verdict, Array(UnsafeRawBufferPointer(start: start, count: Int(descriptor.length))))
    }
  }

  /// One batch of raw descriptors over a UMEM of 64 frames of 2048 octets.
  public func forward(_ descriptors: [FrameDescriptor]) -> [Verdict] {
    var verdicts = [Verdict](repeating: .drop(.truncated), count: descriptors.count)
    verdicts.withUnsafeMutableBufferPointer { verdicts in
      descriptors.withUnsafeBufferPointer { descriptors in
        guard let first = descriptors.baseAddress, let verdicts = verdicts.baseAddress else {
          return
        }
        forwarder.forward(
          first, count: descriptors.count, frames: frames,
          frameBytes: UInt64(frameBytes * capacity), now: now, verdicts: verdicts)
      }
    }
    return verdicts
  }

  /// One batch: the frame of a plain IPv4 packet, from up to 64 client addresses. Returns how many
  /// were forwarded.
  public func forward(_ packet: [UInt8], from clients: Range<UInt32>) -> Int {
    let descriptors = clients.enumerated().map { index, client in
      let frame = frames + index * frameBytes
      packet.withUnsafeBytes { frame.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
      // The source address of RFC 791 §3.1, behind 14 octets of Ethernet; its checksum is left as
      // it was, which a director does not look at.
      frame.storeBytes(of: client.bigEndian, toByteOffset: 14 + 12, as: UInt32.self)
      return FrameDescriptor(address: UInt64(index * frameBytes), length: UInt32(packet.count))
    }
    return forward(descriptors).count { $0.isForward }
  }

  public func forward(_ packet: PacketBuilder) -> (verdict: Verdict, frame: [UInt8]) {
    forward([packet.frame])[0]
  }

  public func advance(seconds: Double) {
    now = now.advanced(byMilliseconds: UInt32(seconds * 1000))
  }

  /// Lets all connections end, by LVS's timeouts, and frees them: a desk costs tens of
  /// milliseconds, the memory of its tables.
  public func endConnections() {
    advance(seconds: 1000)
    sweepAll()
  }

  /// Sweeps every line at least once.
  public func sweepAll() {
    for _ in 0..<12 {
      advance(seconds: 1)
      forwarder.sweep(now: now)
    }
  }
}
