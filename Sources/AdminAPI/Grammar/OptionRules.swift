// SPDX-License-Identifier: Apache-2.0

/// Which options go together: ipvsadm's tables of legal combinations.
struct OptionRules {
  /// What asks for them, as in ipvsadm's messages.
  let subject: String
  /// Those that are looked at, in ipvsadm's order.
  let options: [OptionName]
  var required: Set<OptionName> = []
  var optional: Set<OptionName> = []
  /// At most one of these.
  var exclusive: Set<OptionName> = []

  init(for command: CommandName) {
    subject = "'\(command.rawValue)' command"
    options = OptionName.allCases
    switch command {
    case .add, .edit:
      required = [.service]
      optional = [.scheduler, .persistent, .netmask, .onePacket, .engine, .schedulerFlags]
    case .delete:
      required = [.service]
    case .addServer, .editServer:
      required = [.service, .realServer]
      optional = [
        .forwarding, .weight, .upperThreshold, .lowerThreshold, .tunnelType, .tunnelPort,
        .tunnelWithoutChecksum, .tunnelChecksum, .tunnelRemoteChecksum,
      ]
    case .deleteServer:
      required = [.service, .realServer]
    case .list:
      optional = [
        .numeric, .stats, .rate, .thresholds, .persistentConn, .nosort, .syncID, .exact,
        .tunnelInfo,
      ]
      exclusive = [.connection, .service, .timeout, .daemon]
    case .startDaemon:
      optional = [
        .multicastInterface, .syncID, .multicastGroup, .multicastPort, .multicastTTL, .syncLength,
      ]
    case .stopDaemon:
      optional = [.syncID]
    case .save:
      optional = [.numeric]
    case .zero:
      optional = [.service]
    case .clear, .set, .restore:
      break
    }
  }

  init(for tunnel: TunnelType) {
    subject = "'\(tunnel.rawValue)' tunnel type"
    options = [.tunnelPort, .tunnelWithoutChecksum, .tunnelChecksum, .tunnelRemoteChecksum]
    switch tunnel {
    case .ipip:
      break
    case .gue:
      required = [.tunnelPort]
      exclusive = [.tunnelWithoutChecksum, .tunnelChecksum, .tunnelRemoteChecksum]
    case .gre:
      exclusive = [.tunnelWithoutChecksum, .tunnelChecksum]
    }
  }

  /// Refuses what does not go together, in ipvsadm's words and order.
  func check(_ given: Set<OptionName>) throws(UsageError) {
    var first: OptionName?
    for option in options {
      guard given.contains(option) else {
        if required.contains(option) {
          throw UsageError("You need to supply the '\(option.rawValue)' option for the \(subject)")
        }
        continue
      }
      if exclusive.contains(option) {
        if let first {
          throw UsageError(
            "The option '\(option.rawValue)' conflicts with the '\(first.rawValue)' option in the "
              + subject)
        }
        first = option
      } else if !required.contains(option), !optional.contains(option) {
        throw UsageError("Illegal '\(option.rawValue)' option with the \(subject)")
      }
    }
  }
}

/// The encapsulations of ipvsadm's `-i`.
enum TunnelType: String {
  case ipip, gue, gre
}

/// A command line that ipvsadm's grammar refuses.
public struct UsageError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What ipvsadm prints to standard error, without the end of line.
  public var message: String
  /// ipvsadm's exit code: 2 for its own checks, 255 for what popt and the kernel refuse.
  public var exitCode: Int32

  public var description: String { message }

  init(_ message: String, exitCode: Int32 = 2) {
    self.message = message
    self.exitCode = exitCode
  }
}
