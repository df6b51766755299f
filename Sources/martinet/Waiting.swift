// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The last line of a terminal while somebody waits there: on standard error, and gone in the end.
/// Programs see nothing of it, be it that they read standard error or what `--json` prints.
enum Waiting {
  static let isSeen =
    isatty(STDERR_FILENO) == 1 && !CommandLine.arguments.contains("--json")

  static func show(_ text: String) {
    if isSeen { FileHandle.standardError.write(Data("\r\(text)\u{1b}[K".utf8)) }
  }

  static func end() { show("") }

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
