// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// ipvsadm as a program, and its companions `ipvsadm-save` and `ipvsadm-restore`: arguments, texts
/// and exit codes over a director's control socket.
public struct Ipvsadm: Sendable {
  private let programName: String
  private let client: ControlClient
  private let names: NameService

  public init(programName: String, client: ControlClient, names: NameService = .system) {
    self.programName = programName
    self.client = client
    self.names = names
  }

  /// Runs one command line and returns its exit code.
  ///
  /// - Parameters:
  ///   - input: all of standard input, or nil where it is not text; called for `-R` only.
  ///   - write: takes what goes to standard output.
  ///   - complain: takes what goes to standard error.
  ///   - progress: hears how many of how many commands of `-R` are carried out.
  public func run(
    _ arguments: [String], input: () -> String?, write: (String) -> Void,
    complain: (String) -> Void, progress: (Int, Int) -> Void = { _, _ in }
  ) -> Int32 {
    do {
      let parser = IpvsadmParser(programName: programName, names: names)
      switch try parser.parse(arguments) {
      case .change(let command):
        guard let failure = try client.apply([command]).first else { return 0 }
        complain(message(command, failure.problem) + "\n")
        return 255
      case .list(let listing, let numeric):
        try list(listing, names: numeric ? .none : names, write: write)
      case .save(let numeric):
        write(TableText(names: numeric ? .none : names).rules(try client.table().services))
      case .restore(let clearsFirst):
        return try restore(
          input(), clearsFirst: clearsFirst, complain: complain, progress: progress)
      case .help:
        write(HelpText.usage(programName: programName))
      case .version:
        write(HelpText.version)
      }
      return 0
    } catch let error as UsageError {
      complain(error.message + "\n")
      return error.exitCode
    } catch ControlError.refused(let problem) {
      complain((problem.errorNumber == 3 ? "No such service" : problem.detail) + "\n")
      return 1
    } catch {
      // Where ipvsadm says `Can't initialize ipvs`.
      complain("\(programName): \(error)\n")
      return 2
    }
  }

  private func list(
    _ listing: Listing, names: NameService, write: (String) -> Void
  ) throws(ControlError) {
    let text = TableText(names: names)
    switch listing {
    case .services(nil, let columns, let isSorted):
      let table = try client.table()
      write(TableText.banner(connectionCapacity: table.connectionCapacity))
      write(text.services(table.services, columns: columns, isSorted: isSorted))
    case .services(let key?, let columns, let isSorted):
      write(text.services([try client.service(key)], columns: columns, isSorted: isSorted))
    case .connections(let hasEngines):
      var page = try client.connections()
      write(TableText.connectionTitle(hasEngines: hasEngines))
      while true {
        write(page.connections.map(text.connection).joined())
        guard let next = page.next else { return }
        page = try client.connections(from: next)
      }
    case .timeouts:
      write(TableText.timeouts(try client.timeouts()))
    case .daemons:
      // Nothing to list, unless there is no director to list it.
      _ = try client.timeouts()
    }
  }

  /// A line that is no command stops all before the first change; a command that the director
  /// refuses is named and the rest goes on, as in ipvsadm.
  private func restore(
    _ input: String?, clearsFirst: Bool, complain: (String) -> Void,
    progress: (Int, Int) -> Void
  ) throws -> Int32 {
    guard let input else {
      throw UsageError("standard input is not text of at most \(Self.inputLimit >> 20) MiB")
    }
    let parser = IpvsadmParser(
      programName: clearsFirst ? "ipvsadm" : programName, names: names)
    let lines = try RestoreParser(parser: parser).parse(input)
    // In one request with the first lines: what is in the table again has not been away.
    let commands = (clearsFirst ? [Command.clear] : []) + lines.map(\.command)
    let failures = try client.apply(commands) { progress($0, commands.count) }
    for failure in failures {
      let position = failure.index - (commands.count - lines.count)
      guard lines.indices.contains(position) else { continue }
      let line = lines[position]
      complain("line \(line.number): \(message(line.command, failure.problem))\n")
    }
    return failures.isEmpty ? 0 : 255
  }

  /// The most that `-R` reads, bytes: some two hundred thousand lines.
  public static let inputLimit = 16 << 20

  /// ipvsadm's words where it has any for the case, else the director's sentence.
  private func message(_ command: Command, _ problem: Problem) -> String {
    problem.errorNumber.flatMap(command.ipvsadmMessage) ?? problem.detail
  }
}
