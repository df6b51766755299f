// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// The kernel's side of one queue, in process: hands frames in, takes what is sent. None of its
/// work is timed.
final class RingKernel {
  static let frameCount: UInt32 = 4096
  static let ringEntries: UInt32 = 2048
  static let chunkBytes: UInt32 = 2048
  private static let headroom: UInt64 = 256

  let memory: QueueMemory
  private let frames: UnsafeMutableRawPointer
  /// No program looks into it.
  private let admission: UnsafeMutableRawPointer
  private var fillIndex: UInt32 = 0
  private var receiveIndex: UInt32 = 0
  private var transmitIndex: UInt32 = 0
  private var completionIndex: UInt32 = 0

  init() {
    func ring(_ entries: UInt32, _ entryBytes: Int) -> RingMemory {
      let words = UnsafeMutablePointer<UInt32>.allocate(capacity: 48)
      words.initialize(repeating: 0, count: 48)
      return RingMemory(
        producer: words, consumer: words + 16, flags: words + 32,
        descriptors: .allocate(byteCount: Int(entries) * entryBytes, alignment: 64),
        entries: entries)
    }
    let bytes = Int(Self.frameCount * Self.chunkBytes)
    frames = .allocate(byteCount: bytes, alignment: 2 << 20)
    madvise(frames, bytes, Int32(MADV_HUGEPAGE))
    memset(frames, 0, bytes)
    admission = .allocate(byteCount: QueueMemory.admissionBytes, alignment: 64)
    memset(admission, 0, QueueMemory.admissionBytes)
    memory = QueueMemory(
      frames: frames, frameBytes: UInt64(bytes), chunkBytes: Self.chunkBytes,
      fill: ring(Self.frameCount, 8), completion: ring(Self.frameCount, 8),
      receive: ring(Self.ringEntries, 16), transmit: ring(Self.ringEntries, 16),
      admission: admission)
  }

  deinit {
    for ring in [memory.fill, memory.completion, memory.receive, memory.transmit] {
      ring.producer.deallocate()
      ring.descriptors.deallocate()
    }
    frames.deallocate()
    admission.deallocate()
  }

  /// Puts `count` packets into the receive ring without showing them yet; `write` fills in each
  /// frame and returns its length.
  func stage(_ count: Int, write: (UnsafeMutableRawPointer) -> UInt32) {
    precondition(memory.fill.producer.pointee &- fillIndex >= count, "frames were lost")
    for _ in 0..<count {
      let slot = Int(fillIndex & (Self.frameCount - 1)) * 8
      let address = memory.fill.descriptors.load(fromByteOffset: slot, as: UInt64.self)
      fillIndex &+= 1
      let length = write(frames + Int(address + Self.headroom))
      memory.receive.descriptors.storeBytes(
        of: FrameDescriptor(address: address + Self.headroom, length: length),
        toByteOffset: Int(receiveIndex & (Self.ringEntries - 1)) * 16, as: FrameDescriptor.self)
      receiveIndex &+= 1
    }
    memory.fill.consumer.pointee = fillIndex
  }

  /// What is staged, to be shown to the subject in portions of `batch`.
  func offer(batch: Int) -> Offer {
    let shown = memory.receive.producer.pointee
    return Offer(
      producer: memory.receive.producer, shown: shown, count: receiveIndex &- shown,
      batch: UInt32(batch))
  }

  /// Sends and completes all that was submitted; returns `before` with these packets.
  @discardableResult func drain(after before: SentPackets = SentPackets()) -> SentPackets {
    var sent = before
    while memory.transmit.producer.pointee != transmitIndex {
      let descriptor = memory.transmit.descriptors.load(
        fromByteOffset: Int(transmitIndex & (Self.ringEntries - 1)) * 16, as: FrameDescriptor.self)
      transmitIndex &+= 1
      sent.add(frames + Int(descriptor.address), count: Int(descriptor.length))
      memory.completion.descriptors.storeBytes(
        of: descriptor.address, toByteOffset: Int(completionIndex & (Self.frameCount - 1)) * 8,
        as: UInt64.self)
      completionIndex &+= 1
    }
    memory.transmit.consumer.pointee = transmitIndex
    memory.completion.producer.pointee = completionIndex
    return sent
  }
}

/// Packets that a subject has sent.
struct SentPackets: Equatable {
  private(set) var count = 0
  /// Over all octets of every packet, in order, lengths included.
  private(set) var hash: UInt64 = 0xcbf2_9ce4_8422_2325

  fileprivate mutating func add(_ frame: UnsafeMutableRawPointer, count length: Int) {
    count += 1
    var hash = hash ^ UInt64(length)
    for offset in stride(from: 0, to: length & ~7, by: 8) {
      hash = Self.mixed(hash, frame.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    for offset in length & ~7..<length {
      hash = Self.mixed(hash, UInt64(frame.load(fromByteOffset: offset, as: UInt8.self)))
    }
    self.hash = hash
  }

  private static func mixed(_ hash: UInt64, _ word: UInt64) -> UInt64 {
    let product = (hash ^ word) &* 0x9e37_79b9_7f4a_7c15
    return product ^ product >> 32
  }
}

/// Packets in a receive ring that the subject is to see some at a time.
struct Offer {
  let producer: UnsafeMutablePointer<UInt32>
  let shown: UInt32
  let count: UInt32
  let batch: UInt32

  /// Turns until all are received; the only code that is timed.
  @inline(__always) func run(_ turn: () -> UInt32) {
    var received: UInt32 = 0
    while received < count {
      producer.pointee = shown &+ min(received &+ batch, count)
      received &+= turn()
    }
  }
}
