// SPDX-License-Identifier: Apache-2.0
import Glibc

/// CLOCK_MONOTONIC.
public func monotonicTime() -> Duration {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}

/// Moves a value to the one thread that will use it.
struct UncheckedSendable<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}

/// A thread for calls that block, to be joined; nil where the system has no more.
func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t? {
  final class Start: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  var thread = pthread_t()
  let start = Unmanaged.passRetained(Start(body))
  let result = pthread_create(
    &thread, nil,
    { context in
      Unmanaged<Start>.fromOpaque(context!).takeRetainedValue().body()
      return nil
    }, start.toOpaque())
  guard result == 0 else {
    start.release()
    return nil
  }
  return thread
}

/// Does what blocks on a thread of its own; right here where the system has no more.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
  await withCheckedContinuation { continuation in
    guard let thread = startThread({ continuation.resume(returning: body()) }) else {
      return continuation.resume(returning: body())
    }
    pthread_detach(thread)
  }
}
