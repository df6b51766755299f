// SPDX-License-Identifier: Apache-2.0
import Logging

/// The operator's script for changes of role, called as keepalived calls a `notify` script
/// (keepalived.conf(5)): behind its own words come INSTANCE, the interface, the state, a priority.
///
/// One call after the other, in the order of the changes.
struct NotifyScript: Sendable {
  enum State: String {
    case master = "MASTER"
    case backup = "BACKUP"
    case stop = "STOP"

    init(_ role: DirectorRole) { self = role == .master ? .master : .backup }
  }

  /// VRRP's own default (RFC 5798 §5.2.4); Martinet has none to tell.
  private static let priority = "100"

  private let command: String
  private let interface: String
  private let limit: Duration
  private let logger: Logger
  private let states: AsyncStream<State>
  private let teller: AsyncStream<State>.Continuation

  /// - Parameter limit: what a script is given before it is killed: it must not hold up the next
  ///   change for long.
  init(
    _ command: String, interface: String, limit: Duration = .seconds(10), logger: Logger
  ) {
    self.command = command
    self.interface = interface
    self.limit = limit
    self.logger = logger
    // A script that hangs cannot make the queue grow: of more changes the latest count.
    (states, teller) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(16))
  }

  func tell(_ state: State) { teller.yield(state) }

  /// The last word; `run` returns once the script has had it.
  func stop() {
    tell(.stop)
    teller.finish()
  }

  /// Calls the script until `stop`, whatever becomes of the task.
  func run() async {
    for await state in states { await call(state) }
  }

  private func call(_ state: State) async {
    let program = OperatorProgram(
      command, further: ["INSTANCE", interface, state.rawValue, Self.priority])
    do throws(OperatorProgramFailure) {
      let running = try program.start()
      switch await onThread({ ending(of: running) }) {
      case nil: complain(state, "has not ended after \(limit) and was killed")
      case .exit(0): break
      case let ending?: complain(state, "\(ending)")
      }
    } catch {
      complain(state, "cannot be started: \(error)")
    }
  }

  /// Returns when it is buried; nil where it had to be killed.
  private func ending(of running: RunningProgram) -> RunningProgram.Ending? {
    let ending = running.ending(within: limit)
    if ending == nil { running.killGroup() }
    while !running.bury() { _ = running.ending(within: limit) }
    return ending
  }

  private func complain(_ state: State, _ what: String) {
    logger.warning(
      "notify script: \(what)",
      metadata: ["command": "\(command.shownCommand)", "state": "\(state.rawValue)"])
  }
}
