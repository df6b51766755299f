// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Testing

/// Rings of 1, 2 and 4 entries, from every start index, also where 32 bits wrap.
@Suite struct RingTests {
  private static let starts = (0..<5 as Range<UInt32>).map { $0 } + (0..<5).map { UInt32.max - $0 }

  /// A ring and the other side's hands on it.
  private final class Memory {
    let ring: RingMemory
    private let words: UnsafeMutablePointer<UInt32>

    init(entries: UInt32, start: UInt32) {
      words = .allocate(capacity: 3)
      words.initialize(repeating: start, count: 3)
      ring = RingMemory(
        producer: words, consumer: words + 1, flags: words + 2,
        descriptors: .allocate(byteCount: Int(entries) * 8, alignment: 8), entries: entries)
    }

    deinit {
      ring.descriptors.deallocate()
      words.deallocate()
    }

    var producer: UInt32 {
      get { words[0] }
      set { words[0] = newValue }
    }
    var consumer: UInt32 {
      get { words[1] }
      set { words[1] = newValue }
    }
    subscript(index: UInt32) -> UInt64 {
      get { (ring.descriptors + Int(index & (ring.entries - 1)) * 8).load(as: UInt64.self) }
      set {
        (ring.descriptors + Int(index & (ring.entries - 1)) * 8)
          .storeBytes(of: newValue, as: UInt64.self)
      }
    }
  }

  @Test(arguments: [UInt32(1), 2, 4], starts)
  func aProducerWritesInOrderAndNeverTooMuch(_ entries: UInt32, _ start: UInt32) {
    let memory = Memory(entries: entries, start: start)
    var ring = FillRing(memory.ring)
    var next: UInt64 = 0
    for round in 0..<12 {
      let free = entries - (memory.producer &- memory.consumer)
      #expect(ring.reserve(entries) == free)
      let count = min(free, UInt32(round % 3) + 1)
      for offset in 0..<count { ring.write(next + UInt64(offset), at: offset) }
      ring.submit(count)
      next += UInt64(count)
      #expect(memory.producer == start &+ UInt32(next))
      #expect(ring.pending == memory.producer &- memory.consumer)
      // The other side takes one entry, in order.
      if memory.consumer != memory.producer {
        #expect(memory[memory.consumer] == UInt64(memory.consumer &- start))
        memory.consumer &+= 1
      }
    }
  }

  @Test(arguments: [UInt32(1), 2, 4], starts)
  func aConsumerReadsInOrderRowByRow(_ entries: UInt32, _ start: UInt32) {
    let memory = Memory(entries: entries, start: start)
    var ring = CompletionRing(memory.ring)
    var expected: UInt64 = 0
    for round in 0..<12 {
      let added = min(UInt32(round % 4), entries - (memory.producer &- memory.consumer))
      for offset in 0..<added {
        memory[memory.producer &+ offset] = UInt64(memory.producer &+ offset &- start)
      }
      memory.producer &+= added
      let available = memory.producer &- memory.consumer
      let row = ring.peek(.max)
      let toEnd = entries - (memory.consumer & (entries - 1))
      #expect(row.count == min(available, toEnd))
      for index in 0..<Int(row.count) { #expect(row.entries[index] == expected + UInt64(index)) }
      let taken = min(row.count, 2)
      ring.release(taken)
      expected += UInt64(taken)
      #expect(memory.consumer == start &+ UInt32(expected))
    }
  }

  @Test func aPeekIsLimited() {
    let memory = Memory(entries: 4, start: 0)
    memory.producer = 4
    let ring = CompletionRing(memory.ring)
    #expect(ring.peek(3).count == 3)
  }
}
