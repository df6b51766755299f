// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Glibc

/// A program started by a test. Its output goes to a file, so that it never waits for a reader;
/// it is ended at the latest when this object goes.
public final class Child: @unchecked Sendable {
  /// How a program ended.
  public enum Ending: Equatable, Sendable {
    case exit(Int32)
    case signal(Int32)
  }

  public let pid: pid_t
  /// Has something to read once the program has ended (pidfd_open(2)).
  private let descriptor: Int32
  private let outputPath: String
  private let arguments: [String]
  private var ending: Ending?

  /// Starts `arguments[0]`, looked up on PATH, with standard output and error in one file.
  public init(_ arguments: [String], environment: [String: String] = [:]) throws(SystemError) {
    var template = Array("/tmp/martinet-test.XXXXXX".utf8CString)
    let file = test_temporary_file(&template)
    guard file >= 0 else { throw SystemError(call: "temporary file", errno: errno) }
    defer { close(file) }
    outputPath = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    self.arguments = arguments

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, file, 1)
    posix_spawn_file_actions_adddup2(&actions, file, 2)
    // The threads that tests run on block signals, and a child would inherit that.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var noSignals = sigset_t()
    sigemptyset(&noSignals)
    posix_spawnattr_setsigmask(&attributes, &noSignals)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    let settings = environment.map { "\($0.key)=\($0.value)" }
    var words = (["env"] + settings + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var pid: pid_t = 0
    let status = posix_spawnp(&pid, "env", &actions, &attributes, &words, environ)
    guard status == 0 else { throw SystemError(call: "posix_spawn", errno: status) }
    self.pid = pid
    descriptor = pidfd_open(pid, 0)
    guard descriptor >= 0 else { throw SystemError(call: "pidfd_open", errno: errno) }
  }

  deinit {
    if wait(seconds: 0) == nil {
      send(SIGKILL)
      _ = wait(seconds: 10)
    }
    close(descriptor)
    unlink(outputPath)
  }

  public func send(_ signal: Int32) {
    if ending == nil { kill(pid, signal) }
  }

  /// Waits until the program ends; nil when it still runs after `seconds`.
  public func wait(seconds: Double) -> Ending? {
    let deadline = monotonicSeconds() + seconds
    while ending == nil {
      var status: Int32 = 0
      if waitpid(pid, &status, WNOHANG) == pid {
        let signal = status & 0x7f
        ending = signal == 0 ? .exit(status >> 8 & 0xff) : .signal(signal)
      } else {
        let left = deadline - monotonicSeconds()
        guard left > 0 else { return nil }
        var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        poll(&wanted, 1, Int32(left * 1000) + 1)
      }
    }
    return ending
  }

  /// All that the program has written so far.
  public var output: String {
    guard let file = fopen(outputPath, "r") else { return "" }
    defer { fclose(file) }
    var octets: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while case let count = fread(&chunk, 1, chunk.count, file), count > 0 {
      octets += chunk.prefix(count)
    }
    return String(decoding: octets, as: UTF8.self)
  }

  /// Runs a program to its end; kills it after `seconds`.
  public static func run(
    _ arguments: [String], environment: [String: String] = [:], seconds: Double = 20
  ) throws -> (ending: Ending, output: String) {
    let child = try Child(arguments, environment: environment)
    guard let ending = child.wait(seconds: seconds) else {
      throw Failure("'\(arguments.joined(separator: " "))' runs longer than \(seconds) s")
    }
    return (ending, child.output)
  }
}

/// A test's set-up that did not come about, in words.
public struct Failure: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// CLOCK_MONOTONIC in seconds.
public func monotonicSeconds() -> Double {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}

/// Polls until `condition` holds; false after `seconds`.
public func waitUntil(seconds: Double = 10, _ condition: () throws -> Bool) rethrows -> Bool {
  let deadline = monotonicSeconds() + seconds
  while true {
    if try condition() { return true }
    if monotonicSeconds() >= deadline { return false }
    usleep(20000)
  }
}
