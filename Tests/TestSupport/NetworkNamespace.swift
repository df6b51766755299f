// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

// Behind _GNU_SOURCE, which the Glibc module does not define.
@_silgen_name("setns") private func setNamespace(_ descriptor: Int32, _ type: Int32) -> Int32
@_silgen_name("unshare") private func unshareNamespaces(_ flags: Int32) -> Int32

private let newNetwork: Int32 = 0x4000_0000  // CLONE_NEWNET of linux/sched.h

/// A network namespace without a name: it goes with its last descriptor, socket or process, also
/// when the test fails. Needs root.
public final class NetworkNamespace: Sendable {
  public let descriptor: Int32

  public struct Failure: Error, CustomStringConvertible {
    public let description: String
  }

  /// A new one; its loopback is up.
  public init() throws {
    let result = onThread { () -> Result<Int32, Failure> in
      guard unshareNamespaces(newNetwork) == 0 else {
        return .failure(Failure(description: "unshare: \(String(cString: strerror(errno)))"))
      }
      return .success(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC))
    }
    descriptor = try result.get()
    try run("ip", "link", "set", "lo", "up")
  }

  deinit { close(descriptor) }

  /// What `ip` takes as the name of this namespace.
  public var path: String { "/proc/\(getpid())/fd/\(descriptor)" }

  /// Runs `body` on a thread of its own in the namespace.
  public func perform<Value>(_ body: @escaping () throws -> Value) throws -> Value {
    try onThread {
      Result {
        guard setNamespace(self.descriptor, newNetwork) == 0 else {
          throw Failure(description: "setns: \(String(cString: strerror(errno)))")
        }
        return try body()
      }
    }.get()
  }

  /// Runs a command in the namespace and returns what it printed; a failure of the command is
  /// thrown with what it printed.
  @discardableResult
  public func run(_ command: String...) throws -> String {
    try perform {
      var descriptors: [Int32] = [-1, -1]
      guard pipe(&descriptors) == 0 else { throw Failure(description: "pipe: \(errno)") }
      defer { close(descriptors[0]) }
      var actions = posix_spawn_file_actions_t()
      posix_spawn_file_actions_init(&actions)
      defer { posix_spawn_file_actions_destroy(&actions) }
      posix_spawn_file_actions_adddup2(&actions, descriptors[1], 1)
      posix_spawn_file_actions_adddup2(&actions, descriptors[1], 2)
      for descriptor in descriptors { posix_spawn_file_actions_addclose(&actions, descriptor) }
      var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
      defer { arguments.forEach { free($0) } }
      var child = pid_t()
      let result = posix_spawnp(&child, command[0], &actions, nil, &arguments, environ)
      close(descriptors[1])
      guard result == 0 else {
        throw Failure(description: "\(command[0]): \(String(cString: strerror(result)))")
      }
      let output = FileHandle(fileDescriptor: descriptors[0], closeOnDealloc: false)
        .readDataToEndOfFile()
      var status: Int32 = 0
      while waitpid(child, &status, 0) < 0, errno == EINTR {}
      let text = String(decoding: output, as: UTF8.self)
      guard status == 0 else {
        throw Failure(description: "\(command.joined(separator: " ")): \(text)")
      }
      return text
    }
  }
}

private final class Job<Value>: @unchecked Sendable {
  let body: () -> Value
  let done = DispatchSemaphore(value: 0)
  var value: Value?
  init(_ body: @escaping () -> Value) { self.body = body }
}

/// Runs `body` on a new thread and waits for it.
private func onThread<Value>(_ body: @escaping () -> Value) -> Value {
  let job = Job(body)
  Thread {
    job.value = job.body()
    job.done.signal()
  }.start()
  job.done.wait()
  return job.value!
}
