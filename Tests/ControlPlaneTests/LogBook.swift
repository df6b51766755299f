// SPDX-License-Identifier: Apache-2.0
import Logging
import Synchronization

/// Keeps what is logged.
final class LogBook: Sendable {
  private let events = Mutex<[LogEvent]>([])

  /// A logger that writes into this.
  var logger: Logger { Logger(label: "test") { _ in Handler(book: self) } }

  /// What was said, with the metadata in the order of its keys.
  var lines: [String] {
    events.withLock { $0 }.map { event in
      let metadata = (event.metadata ?? [:]).sorted { $0.key < $1.key }
      return ([event.message.description] + metadata.map { "\($0.key)=\($0.value)" })
        .joined(separator: " ")
    }
  }

  private struct Handler: LogHandler {
    let book: LogBook
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { book.events.withLock { $0.append(event) } }
  }
}
