// SPDX-License-Identifier: Apache-2.0

/// The commands of ipvsadm; the raw value is the name in ipvsadm's messages.
enum CommandName: String {
  case add = "add-service"
  case edit = "edit-service"
  case delete = "delete-service"
  case clear = "flush"
  case list
  case addServer = "add-server"
  case deleteServer = "delete-server"
  case editServer = "edit-server"
  case set
  case startDaemon = "start-daemon"
  case stopDaemon = "stop-daemon"
  case restore, save, zero
}

/// The options of ipvsadm in the order in which it checks them; the raw value is the name in its
/// messages.
enum OptionName: String, CaseIterable {
  case numeric, connection
  case service = "service-address"
  case scheduler, persistent, netmask
  case realServer = "real-server"
  case forwarding = "forwarding-method"
  case weight
  case upperThreshold = "u-threshold"
  case lowerThreshold = "l-threshold"
  case multicastInterface = "mcast-interface"
  case timeout, daemon, stats, rate, thresholds
  case persistentConn = "persistent-conn"
  case nosort
  case syncID = "syncid"
  case exact
  case onePacket = "ops"
  case engine = "pe"
  case schedulerFlags = "sched-flags"
  case multicastGroup = "mcast-group"
  case multicastPort = "mcast-port"
  case multicastTTL = "mcast-ttl"
  case syncLength = "sync-maxlen"
  case tunnelInfo = "tun-info"
  case tunnelType = "tun-type"
  case tunnelPort = "tun-port"
  case tunnelWithoutChecksum = "tun-nocsum"
  case tunnelChecksum = "tun-csum"
  case tunnelRemoteChecksum = "tun-remcsum"
}

/// One entry of ipvsadm's option table.
struct Option {
  enum Meaning {
    case command(CommandName)
    case help, version
    case option(OptionName)
    /// `-6`: the mark before it is IPv6's.
    case ipv6
    /// `--sort`: sorting is the default.
    case sort
  }

  enum Argument { case none, required, optional }

  let long: String
  let short: Character?
  let argument: Argument
  let meaning: Meaning

  private init(
    _ long: String, _ short: Character? = nil, _ argument: Argument = .none, _ meaning: Meaning
  ) {
    self.long = long
    self.short = short
    self.argument = argument
    self.meaning = meaning
  }

  /// ipvsadm 1.31's table, by the manual page ipvsadm(8).
  static let all: [Option] = [
    Option("add-service", "A", .none, .command(.add)),
    Option("edit-service", "E", .none, .command(.edit)),
    Option("delete-service", "D", .none, .command(.delete)),
    Option("clear", "C", .none, .command(.clear)),
    Option("list", "L", .none, .command(.list)),
    Option("list", "l", .none, .command(.list)),
    Option("zero", "Z", .none, .command(.zero)),
    Option("add-server", "a", .none, .command(.addServer)),
    Option("edit-server", "e", .none, .command(.editServer)),
    Option("delete-server", "d", .none, .command(.deleteServer)),
    Option("set", nil, .none, .command(.set)),
    Option("start-daemon", nil, .required, .command(.startDaemon)),
    Option("stop-daemon", nil, .required, .command(.stopDaemon)),
    Option("restore", "R", .none, .command(.restore)),
    Option("save", "S", .none, .command(.save)),
    Option("help", "h", .none, .help),
    Option("version", "v", .none, .version),
    Option("tcp-service", "t", .required, .option(.service)),
    Option("udp-service", "u", .required, .option(.service)),
    Option("sctp-service", nil, .required, .option(.service)),
    Option("fwmark-service", "f", .required, .option(.service)),
    Option("ipv6", "6", .none, .ipv6),
    Option("scheduler", "s", .required, .option(.scheduler)),
    Option("real-server", "r", .required, .option(.realServer)),
    Option("persistent", "p", .optional, .option(.persistent)),
    Option("netmask", "M", .required, .option(.netmask)),
    Option("gatewaying", "g", .none, .option(.forwarding)),
    Option("weight", "w", .required, .option(.weight)),
    Option("u-threshold", "x", .required, .option(.upperThreshold)),
    Option("l-threshold", "y", .required, .option(.lowerThreshold)),
    Option("sched-flags", "b", .required, .option(.schedulerFlags)),
    Option("ops", "o", .none, .option(.onePacket)),
    Option("numeric", "n", .none, .option(.numeric)),
    Option("connection", "c", .none, .option(.connection)),
    Option("timeout", nil, .none, .option(.timeout)),
    Option("stats", nil, .none, .option(.stats)),
    Option("rate", nil, .none, .option(.rate)),
    Option("thresholds", nil, .none, .option(.thresholds)),
    Option("persistent-conn", nil, .none, .option(.persistentConn)),
    Option("nosort", nil, .none, .option(.nosort)),
    Option("sort", nil, .none, .sort),
    Option("exact", "X", .none, .option(.exact)),
    Option("masquerading", "m", .none, .option(.forwarding)),
    Option("ipip", "i", .none, .option(.forwarding)),
    Option("tun-type", nil, .required, .option(.tunnelType)),
    Option("tun-port", nil, .required, .option(.tunnelPort)),
    Option("tun-nocsum", nil, .none, .option(.tunnelWithoutChecksum)),
    Option("tun-csum", nil, .none, .option(.tunnelChecksum)),
    Option("tun-remcsum", nil, .none, .option(.tunnelRemoteChecksum)),
    Option("tun-info", nil, .none, .option(.tunnelInfo)),
    Option("pe", nil, .required, .option(.engine)),
    Option("daemon", nil, .none, .option(.daemon)),
    Option("syncid", nil, .required, .option(.syncID)),
    Option("sync-maxlen", nil, .required, .option(.syncLength)),
    Option("mcast-interface", nil, .required, .option(.multicastInterface)),
    Option("mcast-group", nil, .required, .option(.multicastGroup)),
    Option("mcast-port", nil, .required, .option(.multicastPort)),
    Option("mcast-ttl", nil, .required, .option(.multicastTTL)),
  ]
}
