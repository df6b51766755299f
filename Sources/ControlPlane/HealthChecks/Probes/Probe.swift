// SPDX-License-Identifier: Apache-2.0
import CProbe
import Glibc

/// One question to a real server, on descriptors that never block. Made for one time of asking, on
/// the loop's thread.
protocol Probe: AnyObject {
  func begin() -> ProbeStep
  /// What it waited for has something to say.
  ///
  /// - Parameter hasFailed: whether that is an error, or the end.
  func proceed(hasFailed: Bool) -> ProbeStep
  /// Whether it is well if nothing comes.
  var silenceIsSuccess: Bool { get }
  /// Gives everything back, whether or not it came to a result.
  func end()
}

extension Probe {
  var silenceIsSuccess: Bool { false }
}

/// What a probe waits for, or how it ended.
enum ProbeStep {
  /// - isKnown: whether the descriptor has been waited for before.
  case waiting(for: Interest, on: Int32, isKnown: Bool)
  /// For what comes to all probes of its kind together.
  case expecting
  case finished(CheckResult)

  enum Interest {
    case reading, writing

    /// As epoll(7) has it.
    var events: UInt32 {
      switch self {
      case .reading: EPOLLIN.rawValue
      case .writing: EPOLLOUT.rawValue
      }
    }
  }
}

/// What came of asking.
enum CheckResult: Hashable {
  case success
  /// Why, in a few words.
  case failure(String)
  /// This host could not ask: that says nothing of the real server.
  case none(String)
}

extension CheckResult {
  /// What a system call's errno says of the real server.
  init(errno code: Int32, _ action: String) {
    let words = "\(action): \(String(cString: strerror(code)).lowercased())"
    switch code {
    case EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL, EAGAIN, EPERM, EACCES:
      self = .none(words)
    default: self = .failure(words)
    }
  }
}
