// SPDX-License-Identifier: Apache-2.0
import CMachine
import Glibc

/// Why a mapping could not be made.
public struct SharedMemoryError: Error, CustomStringConvertible {
  public let byteCount: Int
  public let code: Int32
  public var description: String {
    "cannot map \(byteCount >> 20) MiB of memory: \(String(cString: strerror(code))); "
      + "ask for fewer connections or add memory"
  }
}

/// Zeroed memory behind a memfd, so that another process can be handed it later.
///
/// Reserved huge pages are used where there are enough of them, else ordinary pages with the
/// advice to merge them (huge pages: -8 % ns/packet at 1 M connections, -20 % at 8 M; hot-path.md).
/// Every page is touched at once: memory is taken before the first packet, not during traffic.
/// The owner unmaps it by going out of scope.
public struct SharedMemory: ~Copyable, @unchecked Sendable {
  public let base: UnsafeMutableRawPointer
  public let byteCount: Int
  public let fileDescriptor: Int32
  public let isHuge: Bool

  static let hugePageBytes = 2 << 20

  public init(byteCount requested: Int, name: String) throws(SharedMemoryError) {
    let rounded = (requested + Self.hugePageBytes - 1) & ~(Self.hugePageBytes - 1)
    if let huge = Self.map(rounded, name, huge: true) {
      (base, fileDescriptor) = huge
      isHuge = true
    } else if let ordinary = Self.map(rounded, name, huge: false) {
      (base, fileDescriptor) = ordinary
      isHuge = false
      _ = madvise(base, rounded, Int32(MADV_HUGEPAGE))
    } else {
      throw SharedMemoryError(byteCount: rounded, code: errno)
    }
    byteCount = rounded
    memset(base, 0, rounded)
  }

  private static func map(
    _ byteCount: Int, _ name: String, huge: Bool
  ) -> (UnsafeMutableRawPointer, Int32)? {
    let descriptor = machine_memory_file(name, byteCount, huge ? 1 : 0)
    guard descriptor >= 0 else { return nil }
    guard
      let address = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
      address != MAP_FAILED
    else {
      let code = errno
      close(descriptor)
      errno = code
      return nil
    }
    return (address, descriptor)
  }

  deinit {
    munmap(base, byteCount)
    close(fileDescriptor)
  }
}
