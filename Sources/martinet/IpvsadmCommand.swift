// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser
import Foundation

/// `martinet ipvsadm`, and the whole program where it is called `ipvsadm`, `ipvsadm-save` or
/// `ipvsadm-restore`: the arguments are ipvsadm's own, short clusters and all.
struct IpvsadmCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ipvsadm",
    abstract: "Show and change a running director's tables, in ipvsadm's grammar.",
    discussion: """
      `--control SOCKET` in front, or MARTINET_CONTROL in the environment, names the director's \
      socket; without them it is \(ControlClient.defaultSocketPath). `martinet ipvsadm -h` shows \
      the commands.
      """)

  @Argument(parsing: .captureForPassthrough, help: "[--control SOCKET] and ipvsadm's arguments.")
  var arguments: [String] = []

  func run() throws {
    var arguments = arguments[...]
    var socketPath: String?
    if arguments.first == "--control" {
      arguments.removeFirst()
      socketPath = arguments.popFirst()
      guard socketPath != nil else {
        throw ValidationError("--control needs the path of the director's socket behind it")
      }
    }
    throw ExitCode(
      Self.run(
        programName: "martinet ipvsadm", arguments: Array(arguments), socketPath: socketPath))
  }

  /// The program under ipvsadm's names; nil under another.
  static func runByName(_ words: [String]) -> ExitCode? {
    guard let name = words.first, let last = name.split(separator: "/").last,
      IpvsadmParser.programNames.contains(String(last))
    else { return nil }
    return ExitCode(run(programName: name, arguments: Array(words.dropFirst()), socketPath: nil))
  }

  private static func run(
    programName: String, arguments: [String], socketPath: String?
  ) -> Int32 {
    let client = ControlClient(socketPath: socketPath ?? ControlClient.socketPathInEnvironment)
    let program = Ipvsadm(programName: programName, client: client)
    return program.run(
      arguments, input: standardInput, write: { write($0, to: .standardOutput) },
      complain: { write($0, to: .standardError) },
      progress: { $0 < $1 ? Waiting.show("\($0) of \($1) commands") : Waiting.end() })
  }

  /// What nobody takes is lost, as with ipvsadm.
  private static func write(_ text: String, to file: FileHandle) {
    try? file.write(contentsOf: Data(text.utf8))
  }

  private static func standardInput() -> String? {
    let limit = Ipvsadm.inputLimit
    guard let data = try? FileHandle.standardInput.read(upToCount: limit + 1) ?? Data(),
      data.count <= limit
    else { return nil }
    return String(data: data, encoding: .utf8)
  }
}
