// SPDX-License-Identifier: Apache-2.0
import CProbe
import Glibc

/// A program of the operator's: started without a shell, in a process group of its own, with no
/// open files but /dev/null; nobody reads what it prints.
struct OperatorProgram: Sendable {
  private let words: [String]
  private let settings: [String]

  /// - Parameters:
  ///   - command: an absolute path and arguments, blanks between them.
  ///   - further: arguments behind those.
  ///   - settings: of its environment, `NAME=value`, beside PATH.
  init(_ command: String, further: [String] = [], settings: [String] = []) {
    words = command.split(separator: " ").map(String.init) + further
    self.settings =
      ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] + settings
  }

  var path: String { words[0] }

  func start() throws(OperatorProgramFailure) -> RunningProgram {
    let process = try spawn()
    let descriptor = pidfd_open(process, 0)
    guard descriptor >= 0 else {
      let failure = OperatorProgramFailure(code: errno)
      kill(-process, SIGKILL)
      waitpid(process, nil, 0)
      throw failure
    }
    return RunningProgram(process: process, descriptor: descriptor)
  }

  private func spawn() throws(OperatorProgramFailure) -> pid_t {
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
    let code = posix_spawn(&process, path, &actions, &attributes, &arguments, &environment)
    guard code == 0 else { throw OperatorProgramFailure(code: code) }
    return process
  }
}

/// An operator's program could not be started.
struct OperatorProgramFailure: Error, CustomStringConvertible {
  /// The errno.
  let code: Int32

  var description: String { String(cString: strerror(code)).lowercased() }
}

/// An operator's program that was started and has not been buried.
struct RunningProgram: Sendable {
  enum Ending: Equatable, CustomStringConvertible {
    case exit(Int32)
    case signal(Int32)

    var description: String {
      switch self {
      case .exit(let code): "exit code \(code)"
      case .signal(let number): "signal \(number)"
      }
    }
  }

  let process: pid_t
  /// Has something to read once the program has ended (pidfd_open(2)).
  let descriptor: Int32

  /// nil while it runs.
  var ending: Ending? {
    var information = siginfo_t()
    // It stays to be waited for, so that its number and its group's are nobody else's.
    let options = WEXITED | WNOHANG | WNOWAIT
    guard waitid(P_PID, id_t(process), &information, options) == 0,
      information.si_signo == SIGCHLD
    else { return nil }
    let status = information._sifields._sigchld.si_status
    return information.si_code == CLD_EXITED ? .exit(status) : .signal(status)
  }

  /// Waits for the end, `limit` at most; nil where it has not come.
  func ending(within limit: Duration) -> Ending? {
    var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    let deadline = monotonicTime() + limit
    while case let left = deadline - monotonicTime(), left > .zero {
      if poll(&wanted, 1, Int32(left / .milliseconds(1)) + 1) > 0 { break }
    }
    return ending
  }

  /// Kills it with all that it has started.
  func killGroup() { kill(-process, SIGKILL) }

  /// Takes what is left of it from the system; false while it still runs. Once it is true, this is
  /// nobody's program.
  func bury() -> Bool {
    guard waitpid(process, nil, WNOHANG) != 0 else { return false }
    close(descriptor)
    return true
  }
}
