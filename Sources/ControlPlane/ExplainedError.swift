// SPDX-License-Identifier: Apache-2.0

/// An error that says what is wrong and, where that is known, what mends it.
public protocol ExplainedError: Error, CustomStringConvertible {
  /// The two halves of `description`, which is one sentence.
  var explanation: (cause: String, mend: String?) { get }
}

extension ExplainedError {
  public var description: String {
    let (cause, mend) = explanation
    return mend.map { "\(cause): \($0)" } ?? cause
  }
}
