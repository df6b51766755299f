// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Reads a command line in the grammar of ipvsadm 1.31, and refuses it in ipvsadm's words, order
/// and exit codes. What cannot be in direct routing is refused with a sentence of its own. Under
/// the names `ipvsadm-save` and `ipvsadm-restore` it is the parser of these companions.
public struct IpvsadmParser: Sendable {
  /// The names of the three programs.
  public static let programNames: Set<String> = ["ipvsadm", "ipvsadm-save", "ipvsadm-restore"]

  private let programName: String
  private let names: NameService

  public init(programName: String = "ipvsadm", names: NameService = .system) {
    self.programName = programName
    self.names = names
  }

  /// `arguments` are those after the program's name; none lists the table.
  public func parse(_ arguments: [String]) throws(UsageError) -> Invocation {
    switch programName.split(separator: "/").last {
    case "ipvsadm-save":
      guard arguments.allSatisfy({ $0 == "-n" || !$0.hasPrefix("-") }) else {
        throw UsageError("\(programName): give -n for numbers, or nothing", exitCode: 1)
      }
      return .save(numeric: arguments.contains("-n"))
    case "ipvsadm-restore": return .restore(clearsFirst: true)
    default: return try parseOptions(arguments)
    }
  }

  /// The service that words such as `-t 192.0.2.1:80` or `-f 1 -6` name.
  public func service(_ words: [String]) throws(UsageError) -> VirtualServiceKey {
    guard case .change(.zero(let key?)) = try parseOptions(["-Z"] + words) else {
      throw tryHelp
    }
    return key
  }

  private func parseOptions(_ arguments: [String]) throws(UsageError) -> Invocation {
    if arguments.isEmpty {
      return .list(.services(nil, columns: .configuration, isSorted: true), numeric: false)
    }
    var scanner = OptionScanner(arguments)
    let first: OptionScanner.Found?
    do { first = try scanner.next() } catch { throw tryHelp }
    guard let first else { throw tryHelp }
    switch first.option.meaning {
    case .command(let command):
      try checkDaemon(first.argument, of: command)
      var line = CommandLineOptions(command: command, names: names)
      try line.read(from: &scanner)
      return try line.invocation(leftovers: scanner.leftovers)
    case .help: return .help
    case .version: return .version
    case .option, .sort, .ipv6: throw tryHelp
    }
  }

  private func checkDaemon(_ state: String, of command: CommandName) throws(UsageError) {
    guard state != "master", state != "backup" else { return }
    if command == .startDaemon { throw UsageError("illegal start-daemon parameter specified") }
    if command == .stopDaemon { throw UsageError("illegal start_daemon specified") }
  }

  private var tryHelp: UsageError {
    UsageError(
      "Try `\(programName) -h' or '\(programName) --help' for more information.", exitCode: 255)
  }
}

/// `string_to_number` of ipvsadm.c: the whole text as strtol(3) reads it; nil outside `range`.
func number(_ text: some StringProtocol, in range: ClosedRange<Int>) -> Int? {
  let digits = text.drop { $0.isASCII && $0.isWhitespace }
  guard let number = Int(digits), range.contains(number) else { return nil }
  return number
}
