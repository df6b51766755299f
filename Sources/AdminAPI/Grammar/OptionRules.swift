// SPDX-License-Identifier: Apache-2.0

/// Which options a command takes: ipvsadm's table of legal combinations.
struct OptionRules {
  var required: Set<OptionName> = []
  var optional: Set<OptionName> = []
  /// At most one of these.
  var exclusive: Set<OptionName> = []

  init(for command: CommandName) {
    switch command {
    case .add, .edit:
      required = [.service]
      optional = [.scheduler, .persistent, .netmask, .onePacket, .schedulerFlags]
    case .delete:
      required = [.service]
    case .addServer, .editServer:
      required = [.service, .realServer]
      optional = [.forwarding, .weight, .upperThreshold, .lowerThreshold]
    case .deleteServer:
      required = [.service, .realServer]
    case .list:
      optional = [.numeric, .stats, .rate, .thresholds, .persistentConn, .nosort, .exact]
      exclusive = [.connection, .service, .timeout]
    case .save:
      optional = [.numeric]
    case .zero:
      optional = [.service]
    case .clear, .set, .restore:
      break
    }
  }

  /// Refuses what `command` does not take, in ipvsadm's words and order.
  static func check(_ given: Set<OptionName>, for command: CommandName) throws(UsageError) {
    let rules = OptionRules(for: command)
    var exclusive: OptionName?
    for option in OptionName.allCases {
      guard given.contains(option) else {
        if rules.required.contains(option) {
          throw UsageError(
            "You need to supply the '\(option.rawValue)' option for the '\(command.rawValue)' "
              + "command")
        }
        continue
      }
      if rules.exclusive.contains(option) {
        if let other = exclusive {
          throw UsageError(
            "The option '\(option.rawValue)' conflicts with the '\(other.rawValue)' option in "
              + "the '\(command.rawValue)' command")
        }
        exclusive = option
      } else if !rules.required.contains(option), !rules.optional.contains(option) {
        throw UsageError(
          "Illegal '\(option.rawValue)' option with the '\(command.rawValue)' command")
      }
    }
  }
}

/// A command line that ipvsadm's grammar refuses.
public struct UsageError: Error, Hashable, Sendable {
  /// What ipvsadm prints to standard error, without the end of line.
  public var message: String
  /// ipvsadm's exit code: 2 for its own checks, 255 for what popt and the kernel refuse.
  public var exitCode: Int32

  init(_ message: String, exitCode: Int32 = 2) {
    self.message = message
    self.exitCode = exitCode
  }
}
