// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc
import Logging
import Synchronization

/// The thread that makes checks: one for all of them, on sockets that never block, so that a
/// thousand a second cost little and one that hangs keeps no other waiting.
///
/// Belongs to the network namespace of the thread that makes it, and lives until `stop()`.
public final class CheckLoop: CheckSource {
  private struct State: ~Copyable {
    var core: CheckCore
    let maker: ProbeMaker
    var isStopped = false
  }

  /// Checks begin, and are given up, on beats of so long, and so much late at most: those of one
  /// beat share a wakeup, and what they run through is in the processor's caches after the first.
  /// In C, each of a thousand a second costs a third less with 25 than with 10, and a seventh less
  /// again with 50.
  private static let beatMilliseconds: Int64 = 50
  /// From so many probes on, answers are gathered.
  private static let crowd = 8

  public let changes: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation
  private let poller: Poller
  private let state: Mutex<State>
  private let thread = Mutex<pthread_t?>(nil)

  /// Throws where the system has no descriptor or thread for it.
  ///
  /// - Parameter interfaces: the indices of those that VIPs are asked on, by `EgressIndex`.
  public init(interfaces: [Int32], logger: Logger) throws(DirectorError) {
    guard let poller = Poller() else {
      throw .system("cannot make health checks: epoll: \(String(cString: strerror(errno)))")
    }
    self.poller = poller
    (changes, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    let maker = ProbeMaker(interfaces: interfaces, poller: poller)
    let core = CheckCore(logger: logger, probes: maker.probes)
    state = Mutex(State(core: core, maker: maker))
    Self.raiseDescriptorLimit()
    guard let started = startThread({ [self] in run() }) else {
      throw .system("cannot make health checks: there is no thread for them")
    }
    thread.withLock { $0 = started }
  }

  public func make(
    _ checks: Set<CheckInstance>, neighbors: [IPAddress: Neighbor]
  ) -> Set<CheckInstance> {
    let down = state.withLock { state in
      state.maker.link.neighbors = neighbors
      return state.core.make(checks, now: monotonicTime())
    }
    poller.wake()
    return down
  }

  public func statuses() -> [CheckStatus] {
    state.withLock { $0.core.statuses(now: monotonicTime()) }
  }

  /// Ends all checks, the thread and `changes`.
  public func stop() {
    state.withLock {
      $0.isStopped = true
      _ = $0.core.make([], now: monotonicTime())
    }
    guard let thread = thread.withLock({ $0.take() }) else { return }
    poller.wake()
    pthread_join(thread, nil)
    continuation.finish()
  }

  /// A check in progress has a descriptor, and 1024, the usual limit, is soon reached.
  private static func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  /// Milliseconds until the first beat at or after `deadline`, at most a minute.
  private static func wait(from now: Duration, until deadline: Duration) -> Int32 {
    let beats = (deadline.millisecondsRoundedUp + beatMilliseconds - 1) / beatMilliseconds
    let wait = .milliseconds(beats * beatMilliseconds) - now
    return Int32(min(60_000, max(0, wait.millisecondsRoundedUp)))
  }

  private func run() {
    // OpenSSL writes without MSG_NOSIGNAL.
    var pipe = sigset_t()
    sigemptyset(&pipe)
    sigaddset(&pipe, SIGPIPE)
    pthread_sigmask(SIG_BLOCK, &pipe, nil)
    var reports: [Poller.Report] = []
    while true {
      let now = monotonicTime()
      let (wait, isGathering, isStopped, hasChanges) = state.withLock { state in
        for report in reports where report.token != Poller.wakeToken {
          if let answered = state.maker.answered(reportedAs: report.token) {
            for token in answered { state.core.proceed(token, now: now) }
          } else if let token = state.maker.sockets.token(reportedAs: report.token) {
            state.core.proceed(token, report.readiness, now: now)
          }
        }
        state.core.advance(now: now)
        let hasChanges = state.core.hasChanges
        state.core.hasChanges = false
        return (
          state.core.nextDeadline.map { Self.wait(from: now, until: $0) },
          state.core.underWay >= Self.crowd, state.isStopped, hasChanges
        )
      }
      if isStopped { return }
      if hasChanges { continuation.yield() }
      poller.wait(wait ?? -1, isGathering: isGathering, &reports)
    }
  }
}

extension Duration {
  fileprivate var millisecondsRoundedUp: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
  }
}
