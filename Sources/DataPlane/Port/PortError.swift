// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Why a port could not be opened, attached or told of a service: one sentence that names the
/// cause and the mend.
public struct PortError: Error, CustomStringConvertible {
  public enum Kind: Sendable {
    case noSuchInterface
    case noPermission
    /// Another program holds the interface or one of its queues.
    case busy
    /// The kernel, the driver or the interface cannot do what was asked.
    case unsupported
    /// More services than the maps hold, or no memory.
    case exhausted
    /// Any other refusal of the kernel.
    case system
  }

  public let kind: Kind
  public let description: String

  init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }

  /// A refusal for which there is no better word.
  static func system(_ attempt: String, _ code: Int32) -> PortError {
    switch code {
    case EPERM, EACCES:
      PortError(
        .noPermission,
        "\(attempt) is not permitted; run as root, or with the capabilities "
          + Self.capabilities)
    case ENOMEM, ENOBUFS, E2BIG, ENOSPC:
      PortError(.exhausted, "\(attempt) failed for lack of room: \(sentence(code))")
    default:
      PortError(.system, "\(attempt) failed: \(sentence(code))")
    }
  }

  /// What set-up takes, each tried by leaving it out. CAP_PERFMON: the verifier lets no one else
  /// step over a header of variable length.
  static let capabilities = "CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON and CAP_IPC_LOCK"

  static func sentence(_ code: Int32) -> String { String(cString: strerror(code)) }
}
