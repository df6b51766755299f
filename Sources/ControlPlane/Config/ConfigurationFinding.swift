// SPDX-License-Identifier: Apache-2.0

/// One thing that is wrong in a configuration file.
public struct ConfigurationFinding: Error, Hashable, Sendable, CustomStringConvertible {
  /// Counted from 1.
  public var line: Int
  /// Counted from 1, in characters; nil for the whole line.
  public var column: Int?
  /// Where in the document, as `services[2].real-servers[0].weight`; empty for its root.
  public var path: String
  public var cause: String
  /// nil where `cause` says it too.
  public var mend: String?

  public init(line: Int, column: Int? = nil, path: String, cause: String, mend: String? = nil) {
    self.line = line
    self.column = column
    self.path = path
    self.cause = cause
    self.mend = mend
  }

  /// `line 12: services[2].port: …`
  public var description: String {
    [path, cause, mend ?? ""].filter { !$0.isEmpty }
      .reduce("line \(line)") { $0 + ": " + $1 }
  }
}

/// All that is wrong in a configuration file, by line; at least one.
public struct ConfigurationFindings: Error, Hashable, Sendable {
  public var findings: [ConfigurationFinding]
}
