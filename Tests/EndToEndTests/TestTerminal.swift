// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport

/// A program in a window of tmux.
final class TestTerminal {
  private let host: Machine
  private let socket = "/tmp/martinet-test-\(UUID().uuidString.prefix(8)).tmux"

  init(on host: Machine, _ command: String, control: String) throws {
    self.host = host
    let (ending, output) = try host.finish(
      ["tmux", "-S", socket, "-f", "/dev/null", "new-session", "-d", "-x", "110", "-y", "30"]
        + ["\(command); sleep 600"],
      environment: ["MARTINET_CONTROL": control, "TERM": "xterm", "LC_ALL": "C.UTF-8"])
    guard ending == .exit(0) else { throw Failure("tmux: \(output)") }
    // The window has this size whoever looks at it.
    try tmux("set-option", "-g", "status", "off")
    try tmux("set-option", "-g", "window-size", "manual")
  }

  deinit {
    _ = try? host.finish(["tmux", "-S", socket, "kill-server"])
    unlink(socket)
  }

  @discardableResult
  private func tmux(_ words: String...) throws -> String {
    let (ending, output) = try host.finish(["tmux", "-S", socket] + words)
    guard ending == .exit(0) else { throw Failure("tmux \(words): \(output)") }
    return output
  }

  var text: String { (try? tmux("capture-pane", "-p")) ?? "" }

  /// Those before the empty ones at the end.
  func lines() throws -> [String] {
    var lines = try tmux("capture-pane", "-p").split(
      separator: "\n", omittingEmptySubsequences: false
    ).map(String.init)
    while lines.last == "" { lines.removeLast() }
    return lines.isEmpty ? ["", ""] : lines
  }

  func type(_ text: String) throws { try tmux("send-keys", "-l", text) }
  func press(_ key: String) throws { try tmux("send-keys", key) }
  func resize(columns: Int, rows: Int) throws {
    try tmux("resize-window", "-x", "\(columns)", "-y", "\(rows)")
  }

  /// Whether the shell sleeps in place of the program.
  var hasEnded: Bool {
    get throws { try tmux("display-message", "-p", "#{pane_current_command}") == "sleep\n" }
  }
}
