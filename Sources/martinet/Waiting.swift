// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization

/// The last line of a terminal while somebody waits there: on standard error, and gone in the end.
/// Programs see nothing of it, be it that they read standard error or what `--json` prints.
enum Waiting {
  private static let isSeen =
    isatty(STDERR_FILENO) == 1 && !CommandLine.arguments.contains("--json")
  private static let isShown = Atomic<Bool>(false)

  static func show(_ text: String) {
    guard isSeen else { return }
    isShown.store(true, ordering: .relaxed)
    write(text)
  }

  static func end() {
    if isShown.exchange(false, ordering: .relaxed) { write("") }
  }

  private static func write(_ text: String) {
    FileHandle.standardError.write(Data("\r\(text)\u{1b}[K".utf8))
  }

  /// Shows how long `body` takes, from the second second on.
  static func during<Value, Failure: Error>(
    _ text: String, _ body: () throws(Failure) -> Value
  ) throws(Failure) -> Value {
    guard isSeen else { return try body() }
    let clock = Clock()
    Thread.detachNewThread { clock.run(text) }
    defer { clock.stop() }
    return try body()
  }

  private final class Clock: @unchecked Sendable {
    private let condition = NSCondition()
    private var isStopped = false

    func run(_ text: String) {
      condition.withLock {
        for seconds in 1... {
          let next = Date(timeIntervalSinceNow: 1)
          while !isStopped, condition.wait(until: next) {}
          guard !isStopped else { return }
          show("\(text): \(seconds) s")
        }
      }
    }

    func stop() {
      condition.withLock {
        isStopped = true
        condition.signal()
        end()
      }
    }
  }
}
