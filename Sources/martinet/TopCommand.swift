// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser
import Foundation

/// `martinet top`: the same as `status`, live.
struct TopCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "top", abstract: "Watch services, real servers, queues and drops.",
    discussion: """
      Keys: a, n, c, r, p and b sort by addition, name, active connections, connections, packets \
      and bytes per second; / filters, escape shows all again; arrows, page keys, home and end \
      move; q ends.
      """)

  @OptionGroup var control: ControlOption
  @OptionGroup var view: StatusOptions

  @Option(
    help: "Seconds between two pictures, 0.2 to 3600.",
    transform: { text in
      guard let seconds = Double(text), (0.2...3600).contains(seconds) else {
        throw ValidationError("'\(text)' is no interval: give seconds from 0.2 to 3600")
      }
      return seconds
    })
  var interval = 1.0

  @Flag(help: "Print one picture, after an interval to measure in, and end.")
  var once = false

  func run() throws {
    if once || view.json { return try printPictures() }
    var screen = TopScreen(text: view.text)
    screen.take(try sample(), at: ProcessInfo.processInfo.systemUptime)
    guard let terminal = Terminal() else {
      throw Refusal.unavailable(
        "martinet top needs a terminal: give --once or --json to print instead"
      ).said()
    }
    defer { terminal.restore() }
    while true {
      let next = Date(timeIntervalSinceNow: interval)
      repeat {
        terminal.show(screen.lines(rows: terminal.rows, columns: terminal.columns))
        let key = terminal.key(until: next)
        if key == .end || screen.isDone(with: key, rows: terminal.rows) { return }
      } while Date() < next
      // A director that is away for a while is waited for.
      do throws(ControlError) {
        screen.take(try control.client.status(), at: ProcessInfo.processInfo.systemUptime)
      } catch {
        screen.trouble = error.description
      }
    }
  }

  private func sample() throws -> StatusReport {
    try control.ask { client throws(ControlError) in try client.status() }
  }

  /// As text or JSON, one after the other, or one only.
  private func printPictures() throws {
    var before = try sample()
    if view.json && once { return try printJSON(before) }
    repeat {
      if view.json { try printJSON(before) }
      Thread.sleep(forTimeInterval: interval)
      let status = try sample()
      if !view.json {
        let span = StatusText.Interval(since: before, seconds: interval)
        let text = view.text
        for line in text.head(status, over: span) + [text.title] + text.list(status) {
          print(line)
        }
      }
      before = status
      fflush(nil)
    } while !once
  }
}
