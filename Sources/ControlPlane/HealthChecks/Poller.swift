// SPDX-License-Identifier: Apache-2.0
import CProbe
import Glibc

/// An epoll(7) instance and a way to wake who waits on it.
final class Poller: Sendable {
  /// What the wake-up is told by.
  static let wakeToken = UInt64.max
  /// What the link's sockets are told by, which many probes share.
  static let linkToken = UInt64.max - 1

  private let descriptor: Int32
  private let wakeDescriptor: Int32

  /// nil with errno set where there is none to be had.
  init?() {
    descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
    wakeDescriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    guard descriptor >= 0, wakeDescriptor >= 0 else { return nil }
    guard watch(wakeDescriptor, for: .reading, as: Self.wakeToken) == 0 else { return nil }
  }

  deinit {
    for descriptor in [descriptor, wakeDescriptor] where descriptor >= 0 { close(descriptor) }
  }

  /// Reports under `token` until the descriptor is closed; 0, or the errno.
  func watch(_ descriptor: Int32, for interest: ProbeStep.Interest, as token: UInt64) -> Int32 {
    var event = epoll_event(events: interest.events, data: epoll_data(u64: token))
    if epoll_ctl(self.descriptor, EPOLL_CTL_ADD, descriptor, &event) == 0 { return 0 }
    guard errno == EEXIST else { return errno }
    return epoll_ctl(self.descriptor, EPOLL_CTL_MOD, descriptor, &event) == 0 ? 0 : errno
  }

  func wake() { eventfd_write(wakeDescriptor, 1) }

  /// Waits and hands over the tokens of what is ready; a wake-up is used up.
  ///
  /// - Parameter milliseconds: at most so long; -1 for ever.
  func wait(_ milliseconds: Int32, _ tokens: inout [UInt64]) {
    tokens.removeAll(keepingCapacity: true)
    withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: 64) { events in
      let count = epoll_wait(descriptor, events.baseAddress!, Int32(events.count), milliseconds)
      for index in 0..<Int(max(0, count)) { tokens.append(events[index].data.u64) }
    }
    if tokens.contains(Self.wakeToken) {
      var count: eventfd_t = 0
      eventfd_read(wakeDescriptor, &count)
    }
  }
}
