// SPDX-License-Identifier: Apache-2.0

/// One thing that is wrong in a file, or that cannot be carried from it.
public struct FindingReport: Hashable, Sendable, Codable {
  /// Counted from 1.
  public var line: Int
  /// Counted from 1; nil for the whole line.
  public var column: Int?
  /// The key in a configuration file, as `services[2].port`; nil for the whole of it.
  public var path: String?
  public var cause: String
  /// Of what `config check` finds always; nil where `cause` says it too.
  public var mend: String?

  public init(line: Int, column: Int?, path: String?, cause: String, mend: String?) {
    self.line = line
    self.column = column
    self.path = path
    self.cause = cause
    self.mend = mend
  }
}

/// What `martinet config check` found.
public struct ConfigurationCheckReport: Hashable, Sendable, Codable {
  public var file: String
  /// By line; empty where the file is right.
  public var findings: [FindingReport]
  /// How many it has; nil where it is not right.
  public var services: Int?
  public var realServers: Int?

  public init(
    file: String, findings: [FindingReport] = [], services: Int? = nil, realServers: Int? = nil
  ) {
    self.file = file
    self.findings = findings
    self.services = services
    self.realServers = realServers
  }
}

/// What `martinet config import` made of another director's file.
public struct ImportReport: Hashable, Sendable, Codable {
  /// The configuration file, YAML.
  public var configuration: String
  /// What could not be carried, by line.
  public var leftOut: [FindingReport]

  public init(configuration: String, leftOut: [FindingReport]) {
    self.configuration = configuration
    self.leftOut = leftOut
  }
}
