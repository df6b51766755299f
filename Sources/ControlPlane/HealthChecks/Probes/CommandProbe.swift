// SPDX-License-Identifier: Apache-2.0
import CProbe
import DataPlane
import Glibc

/// One run of an operator's program, without a shell, in a process group of its own. Exit code 0 is
/// success; what is still there in the end is killed with all it started.
final class CommandProbe: Probe {
  private let words: [String]
  private let settings: [String]
  private let graveyard: Graveyard
  private var process: pid_t?
  private var descriptor: Int32 = -1

  /// - Parameter command: a path and arguments, blanks between them.
  init(_ command: String, _ address: IPAddress, _ port: Port, _ graveyard: Graveyard) {
    words = command.split(separator: " ").map(String.init)
    settings = [
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "MARTINET_ADDRESS=\(address)", "MARTINET_PORT=\(port.rawValue)",
    ]
    self.graveyard = graveyard
  }

  func begin() -> ProbeStep {
    guard graveyard.hasRoom() else { return .finished(.none("earlier runs cannot be killed")) }
    let (code, process) = spawn()
    guard code == 0 else {
      return .finished(.none("\(words[0]): \(String(cString: strerror(code)).lowercased())"))
    }
    self.process = process
    descriptor = pidfd_open(process, 0)
    guard descriptor >= 0 else { return .finished(.none("pidfd_open: errno \(errno)")) }
    return .waiting(for: .reading, on: descriptor)
  }

  /// The program has ended, and waits to be asked how.
  func proceed() -> ProbeStep {
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

  private func spawn() -> (Int32, pid_t) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0)
    posix_spawn_file_actions_adddup2(&actions, 0, 1)
    posix_spawn_file_actions_adddup2(&actions, 0, 2)
    _ = probe_close_from(&actions, 3)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var (none, all) = (sigset_t(), sigset_t())
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
    var arguments = words.map { strdup($0) } + [nil]
    var environment = settings.map { strdup($0) } + [nil]
    defer { for word in arguments + environment { free(word) } }
    var process: pid_t = 0
    let code = posix_spawn(&process, words[0], &actions, &attributes, &arguments, &environment)
    return (code, process)
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
