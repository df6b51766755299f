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

  /// - Returns: 0 and the process, which the caller waits for; else an errno.
  func start() -> (code: Int32, process: pid_t) {
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
    return (code, process)
  }
}
