// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Plays the kernel's side of one AF_XDP queue of each interface: the UMEM and the rings as plain
/// memory.
///
/// A frame is named by its number. Whatever the test makes the kernel do, `whereabouts` tells in
/// which single place each frame is, or fails.
public final class SimulatedKernel {
  public let interfaces: [SimulatedInterface]
  public let chunkBytes: UInt32
  /// Of all interfaces.
  public let frameCount: UInt32
  private let frames: UnsafeMutableRawPointer

  /// - Parameters:
  ///   - entries: of the fill and completion rings, and the number of frames of an interface.
  ///   - startIndex: where all indices begin: close to `UInt32.max` they wrap.
  public init(
    interfaces: Int = 1, entries: UInt32 = 64, ringEntries: UInt32 = 32, startIndex: UInt32 = 0,
    chunkBytes: UInt32 = 2048
  ) {
    self.chunkBytes = chunkBytes
    frameCount = entries * UInt32(interfaces)
    let frames = UnsafeMutableRawPointer.allocate(
      byteCount: Int(frameCount * chunkBytes), alignment: 4096)
    let frameBytes = UInt64(frameCount) * UInt64(chunkBytes)
    self.frames = frames
    self.interfaces = (0..<interfaces).map { _ in
      SimulatedInterface(
        frames: frames, frameBytes: frameBytes, chunkBytes: chunkBytes, entries: entries,
        ringEntries: ringEntries, startIndex: startIndex)
    }
  }

  deinit { frames.deallocate() }

  /// By `EgressIndex`.
  public var memories: [QueueMemory] { interfaces.map(\.memory) }

  // MARK: What the first interface does

  /// As `SimulatedInterface.deliver`.
  public func deliver(_ frame: [UInt8]) -> Bool { interfaces[0].deliver(frame) }
  /// As `SimulatedInterface.takeTransmit`.
  public func takeTransmit(budget: Int) { interfaces[0].takeTransmit(budget: budget) }
  /// As `SimulatedInterface.complete`.
  public func complete(at place: Int) { interfaces[0].complete(at: place) }
  /// As `SimulatedInterface.removeSent`.
  public func removeSent() -> [[UInt8]] { interfaces[0].removeSent() }
  public var inFlight: [UInt64] { interfaces[0].inFlight }
  public var sent: [[UInt8]] { interfaces[0].sent }
  public var received: Int { interfaces[0].received }

  // MARK: The ledger

  /// How many frames are where, if each is in exactly one place; nil and the ledger is broken.
  public var whereabouts: [String: Int]? { whereabouts(held: []) }

  /// - Parameter held: addresses in the frames that the worker keeps.
  public func whereabouts(held: [UInt64]) -> [String: Int]? {
    var places = ["held": held]
    for (index, interface) in interfaces.enumerated() {
      for (name, addresses) in interface.places {
        places[name, default: []] += addresses
        let areOwn = addresses.allSatisfy { home(of: $0) == UInt64(index) }
        guard areOwn || !["fill", "receive"].contains(name) else { return nil }
      }
    }
    let chunks = places.values.joined().map { $0 / UInt64(chunkBytes) }
    guard chunks.count == Int(frameCount), Set(chunks).count == chunks.count,
      chunks.allSatisfy({ $0 < UInt64(frameCount) })
    else { return nil }
    return places.mapValues(\.count)
  }

  /// The interface that receives into the frame.
  private func home(of address: UInt64) -> UInt64 {
    address / UInt64(chunkBytes) / UInt64(Int(frameCount) / interfaces.count)
  }
}
