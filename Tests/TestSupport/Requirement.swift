// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

/// Something a test needs from the machine, and the probe that tells whether it is there.
///
/// A skip is a claim: only the errors that mean "this machine has no such thing" skip, and the
/// probe's own words are printed. Any other error fails the test, because then the thing exists.
public struct Requirement: Sendable {
  public enum Finding: Sendable {
    case present
    /// The machine lacks it; the probe's error in words.
    case absent(String)
    /// The probe failed although the machine has it.
    case broken(String)
  }

  public let finding: Finding

  public init(_ probe: () -> Finding) { finding = probe() }

  public static let root = Requirement {
    geteuid() == 0 ? .present : .absent("the tests run as user \(geteuid()); this one needs root")
  }

  /// A network namespace of one's own: `CONFIG_NET_NS` and CAP_SYS_ADMIN.
  public static let networkNamespaces = Requirement {
    do {
      _ = try NetworkNamespace()
      return .present
    } catch let error as SystemError where [EPERM, EINVAL].contains(error.errno) {
      return .absent("\(error)")
    } catch {
      return .broken("\(error)")
    }
  }

  /// `socket(AF_XDP)`: `CONFIG_XDP_SOCKETS` (Linux 4.18) and CAP_NET_RAW.
  public static let xdpSockets = Requirement {
    let addressFamilyXDP: Int32 = 44  // AF_XDP, include/linux/socket.h
    let descriptor = socket(addressFamilyXDP, Int32(SOCK_RAW.rawValue), 0)
    guard descriptor >= 0 else {
      let words = "socket(AF_XDP): \(String(cString: strerror(errno)))"
      return errno == EAFNOSUPPORT || (errno == EPERM && geteuid() != 0)
        ? .absent(words) : .broken(words)
    }
    close(descriptor)
    return .present
  }

  /// Programs on PATH; `scripts/test` installs them.
  public static func commands(_ names: String...) -> Requirement {
    Requirement {
      let folders = String(cString: getenv("PATH") ?? strdup("/usr/sbin:/usr/bin:/sbin:/bin"))
        .split(separator: ":")
      let missing = names.filter { name in
        !folders.contains { access("\($0)/\(name)", X_OK) == 0 }
      }
      return missing.isEmpty ? .present : .absent("not on PATH: \(missing.joined(separator: ", "))")
    }
  }
}

extension Trait where Self == ConditionTrait {
  /// Runs the test where every requirement is met; skips with the probe's words, or fails with
  /// them where the machine has what the probe could not get.
  public static func requires(_ requirements: Requirement...) -> Self {
    var reasons: [String] = []
    for requirement in requirements {
      switch requirement.finding {
      case .present: break
      case .absent(let reason): reasons.append(reason)
      case .broken(let reason): return .enabled { throw BrokenRequirement(description: reason) }
      }
    }
    let isMet = reasons.isEmpty
    return .enabled(if: isMet, "\(reasons.joined(separator: "; "))")
  }
}

/// A requirement whose probe failed on a machine that has it.
public struct BrokenRequirement: Error, CustomStringConvertible {
  public let description: String
}
