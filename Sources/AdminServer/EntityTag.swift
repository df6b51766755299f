// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import DataPlane
import Foundation
import NIOHTTP1

/// A strong entity tag (RFC 9110 §8.8.3) of two numbers: the edit of the configuration that an
/// answer tells of, and its octets. An answer is unmodified only if both are the same.
///
/// A change is made conditional on the first alone. That of §13.1.1, which prevents lost updates,
/// would compare both: where packets move figures, no tag would be good for a change. What a change
/// may overwrite is in the first.
struct EntityTag: Hashable, Sendable, CustomStringConvertible {
  private let revision: String
  private let content: String

  /// - Parameter revision: of what can be changed of `content`; nil for nothing.
  init(revision: Int?, content: Data) {
    var hasher = Hasher()
    hasher.combine(content)
    self.revision = Self.word(revision ?? 0)
    self.content = Self.word(hasher.finalize())
  }

  var description: String { "\"\(revision)-\(content)\"" }

  fileprivate static func word(_ number: Int) -> String {
    String(UInt(bitPattern: number), radix: 36)
  }
}

/// What the header fields If-Match and If-None-Match ask for (RFC 9110 §13.1).
struct Conditions: Sendable {
  private let match: [String]
  private let noneMatch: [String]

  init(_ headers: HTTPHeaders) {
    match = headers[canonicalForm: "If-Match"].map(String.init)
    noneMatch = headers[canonicalForm: "If-None-Match"].map(String.init)
  }

  /// Whether the client has this answer already: the weak comparison.
  func isUnmodified(_ tag: EntityTag) -> Bool {
    noneMatch.contains { $0 == "*" || $0.trimmingPrefix("W/") == tag.description }
  }

  /// Throws 412 unless a change of what has this revision is wanted: the strong comparison, of
  /// the part of a tag that names the configuration.
  func check(_ revision: Int) throws {
    let word = "\"" + EntityTag.word(revision) + "-"
    func names(_ tag: String) -> Bool { tag == "*" || tag.hasPrefix(word) && tag.hasSuffix("\"") }
    if !match.isEmpty, !match.contains(where: names) {
      throw Problem(
        .preconditionFailed, "this was changed since the answer with that ETag",
        mend: "get it again, and decide anew")
    }
    if noneMatch.contains(where: names) {
      throw Problem(
        .preconditionFailed,
        "If-None-Match asks for a change only where there is something else", mend: "leave it out")
    }
  }
}

extension Director {
  /// Makes a change unless what it is of has another revision than its conditions say, both in one
  /// turn: of two who saw the same, the second is told. What is not there has its own refusal.
  func change<Result: Sendable>(
    _ part: ConfiguredPart, if conditions: Conditions,
    _ body: @Sendable (isolated Director) throws -> Result
  ) throws -> Result {
    if let revision = revision(of: part) { try conditions.check(revision) }
    return try body(self)
  }
}
