// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// One run of an operator's program, without a shell, in a process group of its own. Exit code 0 is
/// success; what is still there in the end is killed with all it started.
final class CommandProbe: Probe {
  private let program: OperatorProgram
  private let graveyard: Graveyard
  private let poller: Poller
  private let token: UInt64
  private var running: RunningProgram?

  /// - Parameters:
  ///   - command: a path and arguments, blanks between them.
  ///   - token: what the poller is to tell its end by.
  init(
    _ command: String, _ address: IPAddress, _ port: Port, _ graveyard: Graveyard, _ poller: Poller,
    token: UInt64
  ) {
    program = OperatorProgram(
      command, settings: ["MARTINET_ADDRESS=\(address)", "MARTINET_PORT=\(port.rawValue)"])
    self.graveyard = graveyard
    self.poller = poller
    self.token = token
  }

  func begin() -> ProbeStep {
    guard graveyard.hasRoom() else { return .finished(.none("earlier runs cannot be killed")) }
    do throws(OperatorProgramFailure) {
      let running = try program.start()
      self.running = running
      let code = poller.watchChanges(of: running.descriptor, as: token)
      return code == 0 ? .waiting : .finished(CheckResult(errno: code, "epoll"))
    } catch {
      return .finished(.none("\(program.path): \(error)"))
    }
  }

  /// The program has ended, and waits to be asked how.
  func proceed(_ readiness: Readiness) -> ProbeStep {
    guard let ending = running?.ending else { return .finished(.none("waitid: errno \(errno)")) }
    return .finished(ending == .exit(0) ? .success : .failure("\(ending)"))
  }

  func end() {
    guard let running else { return }
    running.killGroup()
    graveyard.bury(running)
    self.running = nil
  }
}

/// Programs that were killed and may still need to be waited for.
final class Graveyard {
  private static let limit = 64
  private var programs: [RunningProgram] = []

  func bury(_ program: RunningProgram) {
    programs.append(program)
    _ = hasRoom()
  }

  /// Whether more may be killed; waits for none.
  func hasRoom() -> Bool {
    programs.removeAll { $0.bury() }
    return programs.count < Self.limit
  }
}
