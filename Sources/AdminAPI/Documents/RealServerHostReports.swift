// SPDX-License-Identifier: Apache-2.0

/// What `martinet realserver up` or `down` did to its host; nothing where all was so already.
public struct RealServerHostReport: Hashable, Sendable, Codable {
  public var changes: [String]
  public init(changes: [String]) { self.changes = changes }
}

/// What `martinet realserver check` looked at.
public struct RealServerCheckReport: Hashable, Sendable, Codable {
  public struct Finding: Hashable, Sendable, Codable {
    public var statement: String
    /// nil where it is right.
    public var mend: String?

    public init(statement: String, mend: String?) {
      self.statement = statement
      self.mend = mend
    }
  }

  public var isRight: Bool
  public var findings: [Finding]

  public init(findings: [Finding]) {
    self.findings = findings
    isRight = findings.allSatisfy { $0.mend == nil }
  }
}
