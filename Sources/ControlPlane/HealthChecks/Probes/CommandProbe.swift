// SPDX-License-Identifier: Apache-2.0
import CProbe
import DataPlane
import Glibc

/// One run of an operator's program, without a shell, in a process group of its own. Exit code 0 is
/// success; what is still there in the end is killed with all it started.
final class CommandProbe: Probe {
  private let program: OperatorProgram
  private let graveyard: Graveyard
  private var process: pid_t?
  private var descriptor: Int32 = -1

  /// - Parameter command: a path and arguments, blanks between them.
  init(_ command: String, _ address: IPAddress, _ port: Port, _ graveyard: Graveyard) {
    program = OperatorProgram(
      command, settings: ["MARTINET_ADDRESS=\(address)", "MARTINET_PORT=\(port.rawValue)"])
    self.graveyard = graveyard
  }

  func begin() -> ProbeStep {
    guard graveyard.hasRoom() else { return .finished(.none("earlier runs cannot be killed")) }
    let (code, process) = program.start()
    guard code == 0 else {
      return .finished(.none("\(program.path): \(String(cString: strerror(code)).lowercased())"))
    }
    self.process = process
    descriptor = pidfd_open(process, 0)
    guard descriptor >= 0 else { return .finished(.none("pidfd_open: errno \(errno)")) }
    return .waiting(for: .reading, on: descriptor, isKnown: false)
  }

  /// The program has ended, and waits to be asked how.
  func proceed(hasFailed: Bool) -> ProbeStep {
    var information = siginfo_t()
    let options = WEXITED | WNOHANG | WNOWAIT
    guard let process, waitid(P_PID, id_t(process), &information, options) == 0 else {
      return .finished(.none("waitid: errno \(errno)"))
    }
    let status = information._sifields._sigchld.si_status
    guard information.si_code == CLD_EXITED else { return .finished(.failure("signal \(status)")) }
    return .finished(status == 0 ? .success : .failure("exit code \(status)"))
  }

  func end() {
    if descriptor >= 0 { close(descriptor) }
    guard let process else { return }
    // It has not been waited for, so the group's number is nobody else's.
    kill(-process, SIGKILL)
    graveyard.bury(process)
    self.process = nil
  }
}

/// Processes that were killed and may still need to be waited for.
final class Graveyard {
  private static let limit = 64
  private var processes: [pid_t] = []

  func bury(_ process: pid_t) {
    processes.append(process)
    _ = hasRoom()
  }

  /// Whether more may be killed; waits for none.
  func hasRoom() -> Bool {
    processes.removeAll { waitpid($0, nil, WNOHANG) != 0 }
    return processes.count < Self.limit
  }
}
