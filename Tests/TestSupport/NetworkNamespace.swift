// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Glibc

/// A system call that failed, with its name.
public struct SystemError: Error, CustomStringConvertible {
  public let call: String
  public let errno: Int32
  public init(call: String, errno: Int32) {
    self.call = call
    self.errno = errno
  }
  public var description: String { "\(call): \(String(cString: strerror(errno)))" }
}

/// A network namespace without a name: this process holds it open, so that it goes away with the
/// process however that ends, and runs of tests never meet. Needs root.
public final class NetworkNamespace: Sendable {
  private let descriptor: Int32

  /// The namespace as a file that `nsenter --net=` and `ip … netns` take.
  public var path: String { "/proc/\(getpid())/fd/\(descriptor)" }

  /// A new one; its loopback is up.
  public init() throws {
    descriptor = try onThread { () throws(SystemError) in
      let descriptor = test_new_namespace()
      guard descriptor >= 0 else { throw SystemError(call: "unshare", errno: errno) }
      return descriptor
    }
    try run("ip", "link", "set", "lo", "up")
  }

  deinit { close(descriptor) }

  /// Runs `body` on a thread inside the namespace: a socket made there stays there.
  public func perform<Value>(_ body: @escaping () throws -> Value) throws -> Value {
    try onThread { [descriptor] in
      guard test_enter_namespace(descriptor) == 0 else {
        throw SystemError(call: "setns", errno: errno)
      }
      return try body()
    }
  }

  /// `command` as words that run it inside; `ip netns exec` would mount another /sys.
  public func inside(_ command: [String]) -> [String] { ["nsenter", "--net=\(path)"] + command }

  /// Runs a command in the namespace and returns what it printed; throws that unless it exits
  /// with 0.
  @discardableResult
  public func run(_ command: String...) throws -> String { try run(command) }

  @discardableResult
  public func run(_ command: [String], seconds: Double = 20) throws -> String {
    let (ending, output) = try Child.run(inside(command), seconds: seconds)
    guard ending == .exit(0) else {
      throw Failure("\(command.joined(separator: " ")): \(ending)\n\(output)")
    }
    return output
  }
}

/// A thread of its own for `body`, because a namespace belongs to a thread.
private func onThread<Value>(_ body: @escaping () throws -> Value) throws -> Value {
  var result: Result<Value, any Error>?
  let work = Work { result = Result { try body() } }
  var thread = pthread_t()
  let status = pthread_create(
    &thread, nil,
    { pointer in
      Unmanaged<Work>.fromOpaque(pointer!).takeRetainedValue().run()
      return nil
    }, Unmanaged.passRetained(work).toOpaque())
  guard status == 0 else { throw SystemError(call: "pthread_create", errno: status) }
  pthread_join(thread, nil)
  return try result!.get()
}

/// What a C thread function can be handed.
private final class Work {
  let run: () -> Void
  init(_ run: @escaping () -> Void) { self.run = run }
}
