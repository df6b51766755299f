// SPDX-License-Identifier: Apache-2.0

/// A fixed number of values that cannot be copied, side by side; they go, the first one first, when
/// the owner goes out of scope.
struct UniqueArray<Element: ~Copyable>: ~Copyable {
  let count: Int
  private let base: UnsafeMutablePointer<Element>

  /// Makes `count` elements in order; ends those that were made if one fails.
  init<Failure: Error>(
    count: Int, making make: (Int) throws(Failure) -> Element
  ) throws(Failure) {
    let base = UnsafeMutablePointer<Element>.allocate(capacity: count)
    for index in 0..<count {
      do {
        (base + index).initialize(to: try make(index))
      } catch {
        base.deinitialize(count: index)
        base.deallocate()
        throw error
      }
    }
    self.count = count
    self.base = base
  }

  deinit {
    base.deinitialize(count: count)
    base.deallocate()
  }

  /// Where the element lies at an index below `count`, as long as this value lives. A yielded one
  /// is broken up, and a large one came out wrong of two such calls (Swift 6.3.1, -Onone).
  subscript(index: Int) -> UnsafeMutablePointer<Element> {
    precondition((0..<count).contains(index))
    return base + index
  }
}
