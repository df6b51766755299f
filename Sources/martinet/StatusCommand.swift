// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser

/// `martinet status`: how the director is, once.
struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show services, real servers, queues and drops.",
    discussion: """
      Counters are totals since the director started; rates are those of `ipvsadm -L --rate`. \
      `martinet top` shows the same, live.
      """)

  @OptionGroup var control: ControlOption
  @OptionGroup var view: StatusOptions

  func run() throws {
    let status = try control.ask { client throws(ControlError) in try client.status() }
    if view.json { return try printJSON(status) }
    let text = view.text
    for line in text.head(status) + [text.title] + text.list(status) { print(line) }
  }
}

/// What of it, and in which order.
struct StatusOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "What services, and real servers within each, are sorted by.",
      valueName: StatusText.Order.allCases.map(\.rawValue).joined(separator: "|")))
  var sort = StatusText.Order.added

  @Option(help: "Only services and real servers that have this in their names.")
  var filter = ""

  @Flag(help: "Print JSON.")
  var json = false

  var text: StatusText { StatusText(order: sort, filter: filter) }
}

extension StatusText.Order: ExpressibleByArgument {}

extension ControlClient {
  /// Of one moment, but for the time between two requests.
  func status() throws(ControlError) -> StatusReport {
    StatusReport(table: try table(), queues: try queues())
  }
}
