// SPDX-License-Identifier: Apache-2.0
import CDirectorABI
import Glibc

/// The eBPF program's map `admissions`, mapped. The owner unmaps it by going out of scope.
struct AdmissionMemory: ~Copyable {
  private static let byteCount =
    Int(DIRECTOR_MAX_QUEUES) * MemoryLayout<director_admission>.stride

  private let base: UnsafeMutableRawPointer

  init(map: Int32) throws(PortError) {
    let address = mmap(nil, Self.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0)
    guard let address, address != MAP_FAILED else {
      throw .system("mapping the eBPF program's admissions", errno)
    }
    base = address
  }

  deinit { munmap(base, Self.byteCount) }

  /// The `director_admission` of a queue, as long as this value lives.
  subscript(queue: Int) -> UnsafeMutableRawPointer {
    precondition((0..<Int(DIRECTOR_MAX_QUEUES)).contains(queue))
    return base + queue * MemoryLayout<director_admission>.stride
  }
}
