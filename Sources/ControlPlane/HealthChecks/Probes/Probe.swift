// SPDX-License-Identifier: Apache-2.0
import Glibc

/// One question to a real server, on descriptors that never block. Made for one time of asking, on
/// the loop's thread.
protocol Probe: AnyObject {
  func begin() -> ProbeStep
  /// What it waited for has something to say.
  func proceed(_ readiness: Readiness) -> ProbeStep
  /// Whether it is well if nothing comes.
  var silenceIsSuccess: Bool { get }
  /// Gives everything back, whether or not it came to a result.
  func end()
}

extension Probe {
  var silenceIsSuccess: Bool { false }
}

/// Where a probe stands.
enum ProbeStep {
  /// What it began with has been told its token, and will report under that.
  case waiting
  case finished(CheckResult)
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
    case EMFILE, ENFILE, ENOMEM, ENOBUFS, ENOSPC, EADDRNOTAVAIL, EAGAIN, EPERM, EACCES:
      self = .none(words)
    default: self = .failure(words)
    }
  }
}
