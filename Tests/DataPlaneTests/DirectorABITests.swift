// SPDX-License-Identifier: Apache-2.0
import CDirectorABI
import Testing

@testable import DataPlane

/// Swift sees the map layouts as the eBPF program does: the offsets that C's rules give.
@Suite struct DirectorABITests {
  @Test func keysAndValues() {
    #expect(MemoryLayout<director_vip_key>.size == 20)
    #expect(MemoryLayout<director_vip_key>.offset(of: \.family) == 16)
    #expect(MemoryLayout<director_service_key>.size == 20)
    #expect(MemoryLayout<director_service_key>.offset(of: \.family) == 16)
    #expect(MemoryLayout<director_service_key>.offset(of: \.protocol) == 17)
    #expect(MemoryLayout<director_service_key>.offset(of: \.port) == 18)
    #expect(MemoryLayout<director_service_slot>.size == 32)
    #expect(MemoryLayout<director_service_slot>.offset(of: \.key) == 0)
    #expect(MemoryLayout<director_wide_ports>.size == 65536 / 8)
    #expect(MemoryLayout<director_port>.size == 8)
    #expect(MemoryLayout<director_port>.offset(of: \.has_displaced) == 6)
    #expect(MemoryLayout<director_port>.offset(of: \.has_wide) == 7)
    #expect(MemoryLayout<director_admission>.size == 2 * 64)
    #expect(MemoryLayout<director_admission>.offset(of: \.limit) == 0 * 8)
    #expect(MemoryLayout<director_admission>.offset(of: \.granted) == 1 * 8)
    #expect(MemoryLayout<director_admission>.offset(of: \.taken) == 8 * 8)
    #expect(MemoryLayout<director_admission>.offset(of: \.dropped) == 9 * 8)
    #expect(MemoryLayout<director_admission>.offset(of: \.octets) == 10 * 8)
  }

  @Test func limitsAndCounters() {
    #expect(DIRECTOR_MAX_QUEUES == 256)
    #expect(DIRECTOR_LIMITED == 1 << 32)
    #expect(DIRECTOR_COUNTERS.rawValue == 6)
    #expect(DirectorObject.words.count == (DirectorObject.byteCount + 7) / 8)
    #expect(DirectorObject.words[0] & 0xffff_ffff == 0x464c_457f, "an ELF object")
  }

  @Test func aDescriptorIsTheKernels() {
    #expect(MemoryLayout<FrameDescriptor>.size == 16)
    #expect(MemoryLayout<FrameDescriptor>.offset(of: \.length) == 8)
    #expect(MemoryLayout<FrameDescriptor>.offset(of: \.options) == 12)
  }
}
