// SPDX-License-Identifier: Apache-2.0

/// Why a configuration as a whole was refused; the state is unchanged. At least one.
public struct DirectorRefusals: Error, Hashable, Sendable, CustomStringConvertible {
  public var errors: [DirectorError]

  /// A line per error.
  public var description: String { errors.map(\.description).joined(separator: "\n") }
}
