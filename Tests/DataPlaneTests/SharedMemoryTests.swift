// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import Testing

@Suite struct SharedMemoryTests {
  /// A mapping that does not begin at a multiple of a huge page never gets one.
  @Test(arguments: [1, 2 << 20, (8 << 20) + 1])
  func isZeroedAlignedAndRounded(_ byteCount: Int) throws {
    let memory = try SharedMemory(byteCount: byteCount, name: "shared-memory-test")
    #expect(Int(bitPattern: memory.base) % (2 << 20) == 0)
    #expect(memory.byteCount >= byteCount)
    #expect(memory.byteCount % (2 << 20) == 0)
    #expect(memory.base.load(as: UInt8.self) == 0)
    #expect(memcmp(memory.base, memory.base + 1, memory.byteCount - 1) == 0)
  }

  @Test func saysWhatPagesTheKernelUses() throws {
    let memory = try SharedMemory(byteCount: 8 << 20, name: "shared-memory-test")
    let mapped = try hugeKilobytes(at: memory.base)
    #expect(memory.isHuge == (mapped == 8 << 10), "\(mapped) KiB are huge")
  }

  /// Of the mapping that begins there: /proc/PID/smaps, proc(5), which comes in portions.
  private func hugeKilobytes(at base: UnsafeMutableRawPointer) throws -> Int {
    let start = String(UInt(bitPattern: base), radix: 16) + "-"
    let file = try #require(fopen("/proc/self/smaps", "r"))
    defer { fclose(file) }
    var (buffer, capacity) = (UnsafeMutablePointer<CChar>?.none, 0)
    defer { free(buffer) }
    var (isOurs, kilobytes) = (false, 0)
    while getline(&buffer, &capacity, file) > 0, let buffer {
      let line = String(cString: buffer)
      if line.hasPrefix(start) { isOurs = true }
      guard isOurs else { continue }
      if line.hasPrefix("VmFlags:") { return kilobytes }
      if ["ShmemPmdMapped:", "Shared_Hugetlb:", "Private_Hugetlb:"].contains(where: line.hasPrefix)
      {
        kilobytes += Int(line.split(separator: " ")[1]) ?? 0
      }
    }
    throw POSIXError(.ENOENT)
  }
}
