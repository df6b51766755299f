// SPDX-License-Identifier: Apache-2.0
import CDirectorABI

/// All of one interface's queue that lies in memory: frames, the four rings, and what worker and
/// eBPF program tell each other. A socket and the program map it, or a test that plays the kernel.
///
/// The queues of a worker, one of each interface, have all frames in common: equal parts of them,
/// in the order of the interfaces, are what the interfaces receive into.
public struct QueueMemory: BitwiseCopyable, @unchecked Sendable {
  public var frames: UnsafeMutableRawPointer
  /// Octets of the UMEM.
  public var frameBytes: UInt64
  /// Octets of one frame, a power of two.
  public var chunkBytes: UInt32
  public var fill: RingMemory
  public var completion: RingMemory
  public var receive: RingMemory
  public var transmit: RingMemory
  /// `admissionBytes`, zeroed at first: a `director_admission` of CDirectorABI.
  public var admission: UnsafeMutableRawPointer

  public static let admissionBytes = MemoryLayout<director_admission>.stride

  public init(
    frames: UnsafeMutableRawPointer, frameBytes: UInt64, chunkBytes: UInt32, fill: RingMemory,
    completion: RingMemory, receive: RingMemory, transmit: RingMemory,
    admission: UnsafeMutableRawPointer
  ) {
    self.frames = frames
    self.frameBytes = frameBytes
    self.chunkBytes = chunkBytes
    self.fill = fill
    self.completion = completion
    self.receive = receive
    self.transmit = transmit
    self.admission = admission
  }
}
