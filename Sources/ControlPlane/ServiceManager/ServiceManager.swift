// SPDX-License-Identifier: Apache-2.0
import Glibc
import Logging

/// The service manager that started this process and waits for its word: systemd's protocol,
/// sd_notify(3), which is one datagram to the Unix socket that NOTIFY_SOCKET names.
public struct ServiceManager: Sendable {
  /// What can be said, by sd_notify(3).
  public enum Message: Sendable {
    case ready
    /// Begins what `ready` ends.
    case reloading
    case stopping
    case alive
    /// For people: `systemctl status` shows it.
    case status(String)

    var line: String {
      switch self {
      case .ready: "READY=1"
      // The manager takes no READY=1 for this reload's end that was sent before it.
      case .reloading: "RELOADING=1\nMONOTONIC_USEC=\(Int64(monotonicTime() / .microseconds(1)))"
      case .stopping: "STOPPING=1"
      case .alive: "WATCHDOG=1"
      case .status(let text): "STATUS=" + text.prefix { !$0.isNewline }
      }
    }
  }

  /// How long a manager that does not read is waited for.
  private static let sendSeconds = 1

  private let address: UnixAddress
  private let logger: Logger
  /// The longest silence after which the manager takes the process for dead; nil where it does not
  /// watch.
  public let watchdogInterval: Duration?

  /// nil where no manager waits, or its socket's name is not of a kind that is known.
  public init?(environment: [String: String], logger: Logger) {
    guard let name = environment["NOTIFY_SOCKET"], !name.isEmpty else { return nil }
    guard let address = Self.address(name) else {
      logger.warning(
        "NOTIFY_SOCKET is no path and no abstract name: the service manager hears nothing",
        metadata: ["name": "\(name)"])
      return nil
    }
    self.address = address
    self.logger = logger
    let isMeant = environment["WATCHDOG_PID"].map { $0 == "\(getpid())" } ?? true
    watchdogInterval = environment["WATCHDOG_USEC"].flatMap { Int64($0) }
      .flatMap { isMeant && $0 > 0 ? .microseconds($0) : nil }
  }

  private static func address(_ name: String) -> UnixAddress? {
    switch name.first {
    case "/": UnixAddress(path: name)
    case "@": UnixAddress(abstract: name.dropFirst())
    default: nil
    }
  }

  /// Sends messages in one datagram; a failure is logged.
  public func tell(_ messages: Message...) {
    let text = messages.map(\.line).joined(separator: "\n")
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC, 0)
    defer { if descriptor >= 0 { close(descriptor) } }
    var limit = timeval(tv_sec: Self.sendSeconds, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    let octets = Array(text.utf8)
    let sent = address.with {
      sendto(descriptor, octets, octets.count, Int32(MSG_NOSIGNAL), $0, $1)
    }
    guard sent < 0 else { return }
    logger.warning(
      "cannot tell the service manager: \(String(cString: strerror(errno)))",
      metadata: ["message": "\(text)"])
  }
}
