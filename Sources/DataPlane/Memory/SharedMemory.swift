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
/// Reserved huge pages are used where there are enough of them (-8 % ns/packet at 1 M connections,
/// -20 % at 8 M; hot-path.md). Else the kernel is asked to merge ordinary ones at once: the advice
/// MADV_HUGEPAGE is void for a memfd where `shmem_enabled` says "never", as it does by default.
/// Every page is touched at once: memory is taken before the first packet, not during traffic.
/// The owner unmaps it by going out of scope.
public struct SharedMemory: ~Copyable, @unchecked Sendable {
  public let base: UnsafeMutableRawPointer
  public let byteCount: Int
  public let fileDescriptor: Int32
  /// Whether all of it lies in huge pages.
  public let isHuge: Bool

  static let hugePageBytes = 2 << 20
  /// MADV_COLLAPSE, linux/mman.h since 6.1.
  private static let collapse: Int32 = 25

  public init(byteCount requested: Int, name: String) throws(SharedMemoryError) {
    let rounded = (requested + Self.hugePageBytes - 1) & ~(Self.hugePageBytes - 1)
    guard let memory = Self.map(rounded, name, huge: true) ?? Self.map(rounded, name, huge: false)
    else { throw SharedMemoryError(byteCount: rounded, code: errno) }
    (base, fileDescriptor, isHuge) = memory
    byteCount = rounded
    memset(base, 0, rounded)
  }

  /// Ordinary pages are merged while all but the first of each huge page are missing still: there
  /// is next to nothing to copy then.
  private static func map(
    _ byteCount: Int, _ name: String, huge: Bool
  ) -> (UnsafeMutableRawPointer, Int32, isHuge: Bool)? {
    let descriptor = machine_memory_file(name, byteCount, huge ? 1 : 0)
    guard descriptor >= 0 else { return nil }
    if take(descriptor, at: stride(from: 0, to: byteCount, by: hugePageBytes), 1),
      let address = map(descriptor, byteCount)
    {
      let isHuge = huge || madvise(address, byteCount, collapse) == 0
      if take(descriptor, at: CollectionOfOne(0), byteCount) {
        return (address, descriptor, isHuge)
      }
      let code = errno
      munmap(address, byteCount)
      errno = code
    }
    let code = errno
    close(descriptor)
    errno = code
    return nil
  }

  /// Has the kernel find the pages now: a lack of memory is an error here, not a SIGBUS at the
  /// first touch.
  private static func take(
    _ descriptor: Int32, at places: some Sequence<Int>, _ byteCount: Int
  ) -> Bool {
    places.allSatisfy { place in
      errno = posix_fallocate(descriptor, place, byteCount)
      return errno == 0
    }
  }

  /// Maps at a multiple of a huge page: what is not cannot be one.
  private static func map(_ descriptor: Int32, _ byteCount: Int) -> UnsafeMutableRawPointer? {
    let spare = byteCount + hugePageBytes
    guard
      let room = mmap(nil, spare, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
      room != MAP_FAILED
    else { return nil }
    let start = room.alignedUp(toMultipleOf: hugePageBytes)
    let address = mmap(
      start, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0)
    guard address == start else {
      let code = errno
      munmap(room, spare)
      errno = code
      return nil
    }
    let (before, after) = (start - room, hugePageBytes - (start - room))
    if before > 0 { munmap(room, before) }
    if after > 0 { munmap(start + byteCount, after) }
    return start
  }

  deinit {
    munmap(base, byteCount)
    close(fileDescriptor)
  }
}
