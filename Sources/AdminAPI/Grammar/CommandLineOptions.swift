// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// The options of one command line as they are met.
struct CommandLineOptions {
  let command: CommandName
  let names: NameService
  var given: Set<OptionName> = []
  var ipProtocol = IPProtocol.tcp
  var service: HostAndPort?
  var markService: VirtualServiceKey?
  var realServer: HostAndPort?
  var scheduler: String?
  var engine = ""
  var flagNames = ""
  var persistenceSeconds: UInt32 = 0
  var mask: IPAddress?
  var weight: UInt32 = 1
  var upperThreshold: UInt32 = 0
  var lowerThreshold: UInt32 = 0
  /// `-g`, `-i` or `-m`, as it was spelled; nil where none was.
  var forwarding: (option: Option, spelling: String)?
  var tunnel = TunnelType.ipip

  init(command: CommandName, names: NameService) {
    self.command = command
    self.names = names
  }

  mutating func read(from scanner: inout OptionScanner) throws(UsageError) {
    while true {
      let found: OptionScanner.Found?
      do {
        found = try scanner.next()
      } catch {
        throw UsageError(error.message, exitCode: 255)
      }
      guard let found else { return }
      switch found.option.meaning {
      case .option(let name): try read(name, from: found)
      case .ipv6: try makeMarkIPv6()
      case .sort: break
      case .command, .help, .version: throw UsageError("invalid option `\(found.word)'")
      }
    }
  }

  private mutating func read(
    _ name: OptionName, from found: OptionScanner.Found
  ) throws(UsageError) {
    guard given.insert(name).inserted else {
      throw UsageError("multiple '\(name.rawValue)' options specified")
    }
    switch name {
    case .service where found.option.long == "fwmark-service":
      markService = try mark(found.argument)
    case .service:
      ipProtocol = IPProtocol(ipvsadmOption: found.option.long)
      service = HostAndPort(found.argument, ipProtocol: ipProtocol, names: names)
      guard service != nil else {
        throw UsageError("illegal virtual server address[:port] specified")
      }
      // Takes back an earlier -M, as ipvsadm does.
      if isIPv6 { mask = nil }
    case .realServer:
      realServer = HostAndPort(found.argument, ipProtocol: ipProtocol, names: names)
      guard realServer != nil else {
        throw UsageError("illegal real server address[:port] specified")
      }
    case .scheduler:
      scheduler = found.argument
    case .engine:
      engine = found.argument
    case .weight:
      weight = UInt32(try number(found, in: 0...0x7fff_ffff, "weight"))
    case .upperThreshold:
      upperThreshold = UInt32(try number(found, in: 0...0x7fff_ffff, "u_threshold"))
    case .lowerThreshold:
      lowerThreshold = UInt32(try number(found, in: 0...0x7fff_ffff, "l_threshold"))
    case .persistent:
      persistenceSeconds =
        found.argument.isEmpty
        ? Persistence.defaultTimeoutSeconds : try seconds(found.argument, from: 1)
    case .netmask:
      mask = try mask(found.argument)
    case .schedulerFlags:
      flagNames = found.argument
    case .forwarding:
      forwarding = (found.option, found.spelling)
    case .tunnelType:
      guard let type = TunnelType(rawValue: found.argument) else {
        throw UsageError("illegal tunnel type specified")
      }
      tunnel = type
    case .tunnelPort:
      _ = try number(found, in: 1...65_535, "tunnel port")
    case .syncID, .syncLength, .multicastGroup, .multicastPort, .multicastTTL:
      try checkDaemonOption(name, found)
    case .numeric, .connection, .timeout, .daemon, .stats, .rate, .thresholds, .persistentConn,
      .nosort, .exact, .onePacket, .multicastInterface, .tunnelInfo, .tunnelWithoutChecksum,
      .tunnelChecksum, .tunnelRemoteChecksum:
      break
    }
  }

  private func checkDaemonOption(
    _ name: OptionName, _ found: OptionScanner.Found
  ) throws(UsageError) {
    let largest =
      switch name {
      case .syncLength: 65_535 - 20 - 8
      case .multicastPort: 65_535
      default: 255
      }
    guard name == .multicastGroup else {
      _ = try number(found, in: (name == .syncID ? 0 : 1)...largest, name.rawValue)
      return
    }
    let isMulticast =
      switch IPAddress(found.argument) {
      case .v4(let address): address.rawValue >> 28 == 0xe
      case .v6(let address): address.high >> 56 == 0xff
      case nil: false
      }
    guard isMulticast else {
      let version = found.argument.contains(":") ? "IPv6" : "IPv4"
      throw UsageError("invalid \(version) mcast-group `\(found.argument)'")
    }
  }

  var isIPv6: Bool {
    if case .v6 = markService?.address ?? service?.address { true } else { false }
  }

  private func mark(_ text: String) throws(UsageError) -> VirtualServiceKey {
    guard let number = AdminAPI.number(text, in: 1...Int(UInt32.max)) else {
      throw UsageError("invalid fwmark value `\(text)' specified")
    }
    return VirtualServiceKey(mark: FirewallMark(rawValue: UInt32(number)), isIPv6: false)
  }

  /// Takes back an earlier -M, as ipvsadm does.
  private mutating func makeMarkIPv6() throws(UsageError) {
    guard let mark = markService?.mark else { throw UsageError("-6 used before -f\n") }
    markService = VirtualServiceKey(mark: mark, isIPv6: true)
    mask = nil
  }

  /// A prefix length where an IPv6 service was named before, else a mask, or a host that is one.
  private func mask(_ text: String) throws(UsageError) -> IPAddress {
    if isIPv6 {
      let length = Int(atoi(text))
      guard (1...128).contains(length) else { throw UsageError("illegal ipv6 netmask specified") }
      return .v6(IPv6Address(prefixLength: length))
    }
    guard let mask = HostAndPort.ipv4(text) ?? names.address(text) else {
      throw UsageError("illegal virtual server persistent mask specified")
    }
    return .v4(mask)
  }

  private func number(
    _ found: OptionScanner.Found, in range: ClosedRange<Int>, _ name: String
  ) throws(UsageError) -> Int {
    guard let number = AdminAPI.number(found.argument, in: range) else {
      throw UsageError("illegal \(name) specified")
    }
    return number
  }

  /// At most 31 days, ipvsadm's `MAX_TIMEOUT`.
  func seconds(_ text: String, from least: Int = 0) throws(UsageError) -> UInt32 {
    guard let seconds = AdminAPI.number(text, in: least...86_400 * 31) else {
      throw UsageError("invalid timeout value `\(text)' specified")
    }
    return UInt32(seconds)
  }
}
