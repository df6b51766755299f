// SPDX-License-Identifier: Apache-2.0
import CMachine
import Glibc

/// The sockets of one worker, one of each interface, and the system calls on them.
///
/// One thread. The sockets are borrowed.
struct WorkerSockets: ~Copyable {
  private struct Socket {
    let descriptor: Int32
    /// Packets that waited when the last wakeup to send moved none of them, or 0; turns since.
    var refused: UInt32 = 0
    var turnsSinceRefusal = 0
  }

  /// What keeps a worker from going on: an errno, and the interface.
  struct Failure {
    var code: Int32
    var interface: Int
  }

  /// Turns before a wakeup to send that moved nothing is repeated if nothing else has changed: some
  /// 2 µs. A zero-copy driver asks to be woken as long as its own ring is full: 108 768 calls for
  /// 100 019 frames of virtio_net without this, 6 091 with it (bench/run vm --part conserve).
  private static let refusalTurns = 32

  private let count: Int
  private let sockets: UnsafeMutablePointer<Socket>
  /// Of the sockets, and of what ends a sleep early.
  private let waits: UnsafeMutablePointer<pollfd>
  /// The first one.
  private(set) var failure: Failure?

  /// - Parameters:
  ///   - descriptors: of the bound AF_XDP sockets, by `EgressIndex`.
  ///   - alarm: an eventfd(2) that ends a sleep early.
  init(_ descriptors: [Int32], alarm: Int32) {
    count = descriptors.count
    sockets = .allocate(capacity: count)
    waits = .allocate(capacity: count + 1)
    for (index, descriptor) in descriptors.enumerated() {
      (sockets + index).initialize(to: Socket(descriptor: descriptor))
    }
    for (index, descriptor) in (descriptors + [alarm]).enumerated() {
      (waits + index).initialize(to: pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
    }
  }

  deinit {
    sockets.deallocate()
    waits.deallocate()
  }

  /// Makes the calls that are due after a turn.
  @inline(__always) mutating func wake(_ loop: borrowing WorkerLoop) {
    for interface in 0..<count {
      let wakeups = loop.wakeups(of: interface)
      if wakeups.contains(.transmit) { wakeToSend(interface, loop) }
      if wakeups.contains(.fill) { wakeToFill(interface, loop) }
    }
  }

  private mutating func wakeToSend(_ interface: Int, _ loop: borrowing WorkerLoop) {
    let waiting = loop.waiting(at: interface)
    let socket = sockets + interface
    socket.pointee.turnsSinceRefusal &+= 1
    if waiting == socket.pointee.refused, socket.pointee.turnsSinceRefusal < Self.refusalTurns {
      return
    }
    loop.counters(of: interface).add(1, to: .transmitWakeups)
    let status = sendto(socket.pointee.descriptor, nil, 0, Int32(MSG_DONTWAIT), nil, 0)
    let code = status < 0 ? errno : 0
    loop.setDown(code == ENETDOWN || code == ENXIO, interface)
    if code != 0 { note(code, interface, loop) }
    socket.pointee.refused = loop.waiting(at: interface) == waiting ? waiting : 0
    socket.pointee.turnsSinceRefusal = 0
  }

  private mutating func wakeToFill(_ interface: Int, _ loop: borrowing WorkerLoop) {
    loop.counters(of: interface).add(1, to: .fillWakeups)
    let descriptor = sockets[interface].descriptor
    if recvfrom(descriptor, nil, 0, Int32(MSG_DONTWAIT), nil, nil) < 0 {
      note(errno, interface, loop)
    }
  }

  /// What a wakeup's errno means: net/xdp/xsk.c, af-xdp-facts.md §2.1.
  private mutating func note(_ code: Int32, _ interface: Int, _ loop: borrowing WorkerLoop) {
    let counters = loop.counters(of: interface)
    switch code {
    case EAGAIN, ENOBUFS, ENOMEM, EINTR: counters.add(1, to: .transmitAgain)
    case EBUSY: counters.add(1, to: .transmitLost)
    case ENETDOWN, ENXIO:
      // Gone, or down, or a driver that resets itself; only the first leaves an error behind.
      counters.add(1, to: .linkDown)
      noteError(of: interface)
    default: fail(code, interface)
    }
  }

  /// Sleeps until a packet comes, the alarm rings, or the time is over.
  mutating func sleep(milliseconds: Int32) {
    if poll(waits, UInt(count + 1), milliseconds) == 0 { noteErrors() }
    if waits[count].revents != 0 {
      var drained: eventfd_t = 0
      eventfd_read(waits[count].fd, &drained)
    }
  }

  /// Interfaces that are deleted leave their sockets with an error that poll(2) does not report.
  mutating func noteErrors() {
    for interface in 0..<count { noteError(of: interface) }
  }

  private mutating func noteError(of interface: Int) {
    var code: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    let descriptor = sockets[interface].descriptor
    let status = getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
    if status == 0, code != 0 { fail(code, interface) }
  }

  private mutating func fail(_ code: Int32, _ interface: Int) {
    failure = failure ?? Failure(code: code, interface: interface)
  }
}
