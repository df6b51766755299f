// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Synchronization

/// The kernel's side of one interface's queue, as `SimulatedKernel` plays it.
public final class SimulatedInterface {
  /// One ring, with the kernel's own index of it.
  private final class Ring {
    let memory: RingMemory
    var kernelIndex: UInt32
    private let words: UnsafeMutablePointer<UInt32>

    init(entries: UInt32, entryBytes: Int, start: UInt32, needsWakeup: Bool) {
      words = .allocate(capacity: 48)
      words.initialize(repeating: start, count: 48)
      words[32] = needsWakeup ? 1 : 0
      memory = RingMemory(
        producer: words, consumer: words + 16, flags: words + 32,
        descriptors: .allocate(byteCount: Int(entries) * entryBytes, alignment: 64),
        entries: entries)
      kernelIndex = start
    }

    deinit {
      memory.descriptors.deallocate()
      words.deallocate()
    }

    private func atomic(_ word: UnsafeMutablePointer<UInt32>) -> UnsafeMutablePointer<
      Atomic<UInt32>
    > {
      UnsafeMutableRawPointer(word).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    var producer: UInt32 {
      get { atomic(memory.producer).pointee.load(ordering: .acquiring) }
      set { atomic(memory.producer).pointee.store(newValue, ordering: .releasing) }
    }
    var consumer: UInt32 {
      get { atomic(memory.consumer).pointee.load(ordering: .acquiring) }
      set { atomic(memory.consumer).pointee.store(newValue, ordering: .releasing) }
    }

    func slot(_ index: UInt32, bytes: Int) -> UnsafeMutableRawPointer {
      memory.descriptors + Int(index & (memory.entries - 1)) * bytes
    }

    /// Either entry type begins with the address.
    func addresses(from: UInt32, to: UInt32, bytes: Int) -> [UInt64] {
      (0..<(to &- from)).map { slot(from &+ $0, bytes: bytes).load(as: UInt64.self) }
    }
  }

  public let memory: QueueMemory
  /// Frames the kernel has taken from the transmit ring and not completed, oldest first.
  public private(set) var inFlight: [UInt64] = []
  /// What was sent, oldest first.
  public private(set) var sent: [[UInt8]] = []
  private let fill: Ring
  private let completion: Ring
  private let receive: Ring
  private let transmit: Ring
  private let frames: UnsafeMutableRawPointer
  private let admission: UnsafeMutableRawPointer

  init(
    frames: UnsafeMutableRawPointer, frameBytes: UInt64, chunkBytes: UInt32, entries: UInt32,
    ringEntries: UInt32, startIndex: UInt32
  ) {
    self.frames = frames
    admission = .allocate(byteCount: QueueMemory.admissionBytes, alignment: 64)
    admission.initializeMemory(as: UInt8.self, repeating: 0, count: QueueMemory.admissionBytes)
    fill = Ring(entries: entries, entryBytes: 8, start: startIndex, needsWakeup: false)
    completion = Ring(entries: entries, entryBytes: 8, start: startIndex, needsWakeup: false)
    receive = Ring(entries: ringEntries, entryBytes: 16, start: startIndex, needsWakeup: false)
    transmit = Ring(entries: ringEntries, entryBytes: 16, start: startIndex, needsWakeup: true)
    memory = QueueMemory(
      frames: frames, frameBytes: frameBytes, chunkBytes: chunkBytes, fill: fill.memory,
      completion: completion.memory, receive: receive.memory, transmit: transmit.memory,
      admission: admission)
  }

  deinit { admission.deallocate() }

  /// A frame comes in: false if there is no fill entry or no receive slot, as in `xsk_rcv`.
  public func deliver(_ frame: [UInt8]) -> Bool {
    guard fill.producer != fill.kernelIndex,
      receive.kernelIndex &- receive.consumer < receive.memory.entries
    else { return false }
    let chunk = fill.slot(fill.kernelIndex, bytes: 8).load(as: UInt64.self)
    fill.kernelIndex &+= 1
    fill.consumer = fill.kernelIndex
    // XDP_PACKET_HEADROOM in front, as in copy mode.
    let address = chunk + 256
    frame.withUnsafeBytes {
      (frames + Int(address)).copyMemory(from: $0.baseAddress!, byteCount: $0.count)
    }
    receive.slot(receive.kernelIndex, bytes: 16).storeBytes(
      of: FrameDescriptor(address: address, length: UInt32(frame.count)), as: FrameDescriptor.self)
    receive.kernelIndex &+= 1
    receive.producer = receive.kernelIndex
    return true
  }

  /// The answer to sendto(2): takes up to `budget` packets, none for whose completion there is no
  /// room, as `xsk_cq_reserve_addr_locked` has it.
  public func takeTransmit(budget: Int) {
    for _ in 0..<budget where transmit.producer != transmit.kernelIndex {
      let completed = Int(completion.kernelIndex &- completion.consumer)
      guard completed + inFlight.count < Int(completion.memory.entries) else { break }
      let descriptor = transmit.slot(transmit.kernelIndex, bytes: 16).load(as: FrameDescriptor.self)
      transmit.kernelIndex &+= 1
      inFlight.append(descriptor.address)
      sent.append(
        Array(
          UnsafeRawBufferPointer(
            start: frames + Int(descriptor.address), count: Int(descriptor.length))))
    }
    transmit.consumer = transmit.kernelIndex
  }

  /// What was sent since the last call, oldest first.
  public func removeSent() -> [[UInt8]] {
    defer { sent = [] }
    return sent
  }

  /// Gives back the in-flight frame at `place`: completions may come out of order.
  public func complete(at place: Int) {
    let address = inFlight.remove(at: place)
    completion.slot(completion.kernelIndex, bytes: 8).storeBytes(of: address, as: UInt64.self)
    completion.kernelIndex &+= 1
    completion.producer = completion.kernelIndex
  }

  public var received: Int { Int(receive.kernelIndex &- receive.consumer) }

  /// Addresses in the frames that are in the rings or with the kernel.
  var places: [String: [UInt64]] {
    [
      "in flight": inFlight,
      "fill": fill.addresses(from: fill.kernelIndex, to: fill.producer, bytes: 8),
      "receive": receive.addresses(from: receive.consumer, to: receive.kernelIndex, bytes: 16),
      "transmit": transmit.addresses(
        from: transmit.kernelIndex, to: transmit.producer, bytes: 16),
      "completion": completion.addresses(
        from: completion.consumer, to: completion.kernelIndex, bytes: 8),
    ]
  }
}
