// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import DataPlane

@Suite struct DoublingHistogramTests {
  /// A value belongs to the first class whose bound it does not exceed.
  @Test(arguments: [(UInt64(1), 8), (1000, 17)])
  func valuesLieBelowTheirBounds(unit: UInt64, count: Int) {
    let bounds = (0..<count - 1).map { DoublingHistogram.bound(of: $0, unit: unit) }
    #expect(bounds.first == unit && bounds.last == unit << UInt64(count - 2))
    for value in bounds.flatMap({ [max(1, $0 - 1), $0, $0 + 1] }) + [UInt64.max] {
      let place = DoublingHistogram.place(of: value, unit: unit, count: count)
      #expect(place == bounds.firstIndex { value <= $0 } ?? count - 1, "\(value)")
    }
  }

  /// The last class of batch sizes stays empty.
  @Test func aFullBatchHasItsClass() {
    let count = QueueCounters.batchSizeClasses
    let place = DoublingHistogram.place(of: UInt64(Forwarder.batchLimit), unit: 1, count: count)
    #expect(place == count - 2)
  }

  @Test func countersKeepThem() {
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: QueueCounters.byteCount, alignment: 64)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: QueueCounters.byteCount)
    let counters = QueueCounters(memory)
    for size: UInt32 in [1, 3, 64, 64] {
      counters.countBatch(of: size)
      counters.add(UInt64(size), to: .received)
    }
    #expect(counters.batchSizes == DoublingHistogram(counts: [1, 0, 1, 0, 0, 0, 2, 0], sum: 132))
    for nanoseconds: UInt64 in [0, 999, 1001, 1 << 40] {
      counters.countTurn(nanoseconds: nanoseconds)
    }
    let times = counters.turnTimes
    #expect(times.counts.first == 2 && times.counts[1] == 1 && times.counts.last == 1)
    #expect(times.total == 4 && times.sum == 2000 + 1 << 40)
    #expect(QueueCounter.allCases.allSatisfy { counters[$0] == ($0 == .received ? 132 : 0) })
  }
}
