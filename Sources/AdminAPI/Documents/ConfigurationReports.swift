// SPDX-License-Identifier: Apache-2.0

/// What is asked for by `POST /v1/configuration/reload`.
public struct ReloadRequest: Hashable, Sendable, Codable {
  /// Only says what would be done.
  public var isPlan: Bool?
  /// Undoes changes made at run time too.
  public var force: Bool?
  /// After so many seconds all is as it was, unless it is confirmed.
  public var confirmSeconds: UInt32?

  public init(isPlan: Bool? = nil, force: Bool? = nil, confirmSeconds: UInt32? = nil) {
    self.isPlan = isPlan
    self.force = force
    self.confirmSeconds = confirmSeconds
  }
}

/// One object of the configuration that becomes another.
public struct ChangeReport: Hashable, Sendable, Codable {
  /// `service TCP 192.0.2.1:80, real server 192.0.2.9`
  public var object: String
  /// `add`, `change` or `remove`.
  public var action: String
  /// `weight 1 -> 3`
  public var details: [String]

  public init(object: String, action: String, details: [String]) {
    self.object = object
    self.action = action
    self.details = details
  }
}

/// What a reload did or would do.
public struct ReloadReport: Hashable, Sendable, Codable {
  public var changes: [ChangeReport]
  /// Those that take back what was changed at run time.
  public var undone: [ChangeReport]
  /// What a running director cannot take.
  public var needsRestart: [String]
  /// Live connections of real servers that go.
  public var endingConnections: UInt64

  public init(
    changes: [ChangeReport], undone: [ChangeReport], needsRestart: [String],
    endingConnections: UInt64
  ) {
    self.changes = changes
    self.undone = undone
    self.needsRestart = needsRestart
    self.endingConnections = endingConnections
  }
}

/// What a save wrote that was not in the file.
public struct SaveReport: Hashable, Sendable, Codable {
  public var changes: [ChangeReport]
  public init(changes: [ChangeReport]) { self.changes = changes }
}
