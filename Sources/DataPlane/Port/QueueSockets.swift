// SPDX-License-Identifier: Apache-2.0

/// The sockets of an interface, one per queue from 0 on: an array of a type that cannot be copied.
struct QueueSockets: ~Copyable {
  let count: Int
  private let base: UnsafeMutablePointer<QueueSocket>

  /// Opens `count` sockets; closes them again if one fails.
  init(
    count: Int, opening open: (UInt32) throws(PortError) -> QueueSocket
  ) throws(PortError) {
    let base = UnsafeMutablePointer<QueueSocket>.allocate(capacity: count)
    for queue in 0..<count {
      do {
        (base + queue).initialize(to: try open(UInt32(queue)))
      } catch {
        base.deinitialize(count: queue)
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

  /// The socket of a queue below `count`; it lives as long as this value.
  subscript(queue: Int) -> QueueSocket {
    _read {
      precondition((0..<count).contains(queue))
      yield base[queue]
    }
  }
}
