// SPDX-License-Identifier: Apache-2.0
import CProbe
import Glibc

/// An epoll(7) instance and a way to wake who waits on it.
final class Poller: Sendable {
  /// A descriptor that has something to say.
  struct Report {
    var token: UInt64
    /// It has an error, or both directions have ended.
    var hasFailed: Bool
  }

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
    guard watch(wakeDescriptor, as: Self.wakeToken) == 0 else { return nil }
  }

  deinit {
    for descriptor in [descriptor, wakeDescriptor] where descriptor >= 0 { close(descriptor) }
  }

  /// Reports under `token` whenever there is something to read, until the descriptor is closed; 0,
  /// or the errno.
  func watch(_ descriptor: Int32, as token: UInt64) -> Int32 {
    control(EPOLL_CTL_ADD, descriptor, EPOLLIN.rawValue, token)
  }

  /// Reports once under `token`; 0, or the errno.
  ///
  /// - Parameter isKnown: whether the descriptor has been expected before.
  func expect(
    _ interest: ProbeStep.Interest, of descriptor: Int32, isKnown: Bool, as token: UInt64
  ) -> Int32 {
    control(
      isKnown ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor,
      interest.events | EPOLLONESHOT.rawValue, token)
  }

  private func control(
    _ operation: Int32, _ descriptor: Int32, _ events: UInt32, _ token: UInt64
  ) -> Int32 {
    var event = epoll_event(events: events, data: epoll_data(u64: token))
    return epoll_ctl(self.descriptor, operation, descriptor, &event) == 0 ? 0 : errno
  }

  func wake() { eventfd_write(wakeDescriptor, 1) }

  /// Waits and hands over what is ready; a wake-up is used up.
  ///
  /// - Parameter milliseconds: at most so long; -1 for ever.
  func wait(_ milliseconds: Int32, _ reports: inout [Report]) {
    reports.removeAll(keepingCapacity: true)
    withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: 64) { events in
      let count = epoll_wait(descriptor, events.baseAddress!, Int32(events.count), milliseconds)
      for event in events.prefix(Int(max(0, count))) {
        let hasFailed = event.events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0
        reports.append(Report(token: event.data.u64, hasFailed: hasFailed))
      }
    }
    if reports.contains(where: { $0.token == Self.wakeToken }) {
      var count: eventfd_t = 0
      eventfd_read(wakeDescriptor, &count)
    }
  }
}
