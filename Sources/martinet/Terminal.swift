// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization

/// The terminal, taken over for pictures and single keys until it is restored.
final class Terminal {
  enum Key: Equatable {
    case character(Character)
    case enter, escape, backspace
    case up, down, pageUp, pageDown, home, last
    /// The terminal has another size now.
    case resize
    /// Control-C, a signal to end, or a terminal that is gone.
    case end
  }

  private var previous = termios()
  /// What was typed and not yet asked for.
  private var typed: [UInt8] = []
  private static let isEnding = Atomic<Bool>(false)

  /// nil where standard input or output is no terminal.
  init?() {
    guard isatty(STDOUT_FILENO) == 1, tcgetattr(STDIN_FILENO, &previous) == 0 else { return nil }
    var raw = previous
    cfmakeraw(&raw)
    tcsetattr(STDIN_FILENO, TCSANOW, &raw)
    // A signal ends the wait for a key: poll(2) is not begun anew.
    signal(SIGWINCH) { _ in }
    for ending in [SIGTERM, SIGINT, SIGHUP] {
      signal(ending) { _ in Terminal.isEnding.store(true, ordering: .relaxed) }
    }
    write("\u{1b}[?1049h\u{1b}[?25l")
  }

  func restore() {
    write("\u{1b}[?25h\u{1b}[?1049l")
    tcsetattr(STDIN_FILENO, TCSANOW, &previous)
  }

  var rows: Int { Int(size.ws_row) }
  var columns: Int { Int(size.ws_col) }

  /// A terminal that does not tell has the size of the first ones.
  private var size: winsize {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0, size.ws_col > 0
    else { return winsize(ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0) }
    return size
  }

  /// Draws over what is there, line by line, so that nothing flickers.
  func show(_ lines: [String]) {
    write(
      "\u{1b}[H" + lines.map { "\($0)\u{1b}[K" }.joined(separator: "\r\n") + "\u{1b}[J")
  }

  /// The next key; nil at `deadline`.
  func key(until deadline: Date) -> Key? {
    if !typed.isEmpty { return Self.key(&typed) }
    if Self.isEnding.load(ordering: .relaxed) { return .end }
    var wait = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
    let milliseconds = max(0, (deadline.timeIntervalSinceNow * 1000).rounded(.up))
    let count = poll(&wait, 1, Int32(milliseconds))
    if count < 0 { return Self.isEnding.load(ordering: .relaxed) ? .end : .resize }
    guard count > 0 else { return nil }
    var octets = [UInt8](repeating: 0, count: 256)
    let length = read(STDIN_FILENO, &octets, octets.count)
    guard length > 0 else { return .end }
    typed = Array(octets.prefix(length))
    return Self.key(&typed)
  }

  /// Takes the first key of what a terminal sends (ECMA-48, xterm); one that is not known is a
  /// resize, which only makes a new picture.
  static func key(_ octets: inout [UInt8]) -> Key {
    let first = octets.removeFirst()
    switch first {
    case 3: return .end
    case 10, 13: return .enter
    case 8, 127: return .backspace
    case 27:
      guard let next = octets.first, next == UInt8(ascii: "[") || next == UInt8(ascii: "O") else {
        return .escape
      }
      let end = octets.dropFirst().firstIndex { $0 >= 0x40 } ?? octets.count - 1
      let sequence = String(decoding: octets[...end].dropFirst().prefix(4), as: UTF8.self)
      octets.removeFirst(end + 1)
      return sequences[sequence] ?? .resize
    case 32..<127: return .character(Character(UnicodeScalar(first)))
    default: return .resize
    }
  }

  private static let sequences: [String: Key] = [
    "A": .up, "B": .down, "5~": .pageUp, "6~": .pageDown, "H": .home, "1~": .home, "F": .last,
    "4~": .last,
  ]

  private func write(_ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }
}
