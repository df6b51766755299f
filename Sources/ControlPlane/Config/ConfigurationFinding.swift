// SPDX-License-Identifier: Apache-2.0

/// One thing that is wrong in a configuration file.
public struct ConfigurationFinding: Error, Hashable, Sendable, CustomStringConvertible {
  /// Counted from 1.
  public var line: Int
  /// Counted from 1, in characters; nil for the whole line.
  public var column: Int?
  /// Where in the document, as `services[2].real-servers[0].weight`; empty for its root.
  public var path: String
  /// Cause and mend.
  public var sentence: String

  public init(line: Int, column: Int? = nil, path: String, sentence: String) {
    self.line = line
    self.column = column
    self.path = path
    self.sentence = sentence
  }

  /// `line 12: services[2].port: …`
  public var description: String {
    "line \(line): \(path.isEmpty ? "" : path + ": ")\(sentence)"
  }
}

/// All that is wrong in a configuration file, by line; at least one.
public struct ConfigurationFindings: Error, Hashable, Sendable {
  public var findings: [ConfigurationFinding]
}
