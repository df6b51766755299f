// SPDX-License-Identifier: Apache-2.0
import CProbe
import Glibc

/// What a descriptor has to say.
struct Readiness: Hashable {
  /// It has an error, or both directions have ended.
  var hasFailed = false
  /// There may be something to read.
  var isReadable = false
}

/// An epoll(7) instance and a way to wake who waits on it. What it watches it watches until the
/// descriptor is closed.
final class Poller: Sendable {
  /// A descriptor that has something to say.
  struct Report {
    var token: UInt64
    var readiness: Readiness
  }

  /// What the wake-up is told by.
  static let wakeToken = UInt64.max
  /// What the link's sockets are told by, which many probes share.
  static let linkToken = UInt64.max - 1
  /// What the sockets of pings are told by, which many probes share too.
  static let echoToken = UInt64.max - 2
  /// How many reports are taken at once.
  private static let reportLimit = 64
  /// Whoever asks many wants the answers of some time by one wakeup, not one by one. In C, a
  /// thousand HTTP checks a second cost a quarter less with 500 than with none, and a fifth less
  /// than with 2000, in which caches grow cold.
  private static let gatheringMicroseconds: UInt32 = 500

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

  /// Reports under `token` as long as there is something to read; 0, or the errno.
  func watch(_ descriptor: Int32, as token: UInt64) -> Int32 {
    add(descriptor, EPOLLIN.rawValue, token)
  }

  /// Reports under `token` whenever something more can be read or written than before; 0, or the
  /// errno.
  func watchChanges(of descriptor: Int32, as token: UInt64) -> Int32 {
    add(descriptor, EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLET.rawValue, token)
  }

  private func add(_ descriptor: Int32, _ events: UInt32, _ token: UInt64) -> Int32 {
    var event = epoll_event(events: events, data: epoll_data(u64: token))
    return epoll_ctl(self.descriptor, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : errno
  }

  func wake() { eventfd_write(wakeDescriptor, 1) }

  /// Waits and hands over what is ready; a wake-up is used up.
  ///
  /// - Parameters:
  ///   - milliseconds: at most so long; -1 for ever.
  ///   - isGathering: whether what comes soon after the first is worth waiting for.
  func wait(_ milliseconds: Int32, isGathering: Bool = false, _ reports: inout [Report]) {
    reports.removeAll(keepingCapacity: true)
    take(milliseconds, &reports)
    if isGathering, !reports.isEmpty, reports.count < Self.reportLimit {
      usleep(Self.gatheringMicroseconds)
      take(0, &reports)
    }
    if reports.contains(where: { $0.token == Self.wakeToken }) {
      var count: eventfd_t = 0
      eventfd_read(wakeDescriptor, &count)
    }
  }

  private func take(_ milliseconds: Int32, _ reports: inout [Report]) {
    withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: Self.reportLimit) { events in
      let count = epoll_wait(descriptor, events.baseAddress!, Int32(events.count), milliseconds)
      for event in events.prefix(Int(max(0, count))) {
        let readiness = Readiness(
          hasFailed: event.events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0,
          isReadable: event.events & EPOLLIN.rawValue != 0)
        reports.append(Report(token: event.data.u64, readiness: readiness))
      }
    }
  }
}
