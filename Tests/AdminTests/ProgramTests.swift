// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// The executable under both its names, over a real control socket.
@Suite struct ProgramTests {
  /// `martinet` as built beside the tests.
  static let executable = URL(
    filePath: try! FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
  ).deletingLastPathComponent().appending(path: "martinet")

  /// A link of another name to it, removed with the last use.
  private func linked(_ name: String) throws -> URL {
    let folder = URL(filePath: NSTemporaryDirectory()).appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let link = folder.appending(path: name)
    try FileManager.default.createSymbolicLink(at: link, withDestinationURL: Self.executable)
    return link
  }

  static func run(
    _ executable: URL, _ arguments: [String], control: String? = nil, input: String = ""
  ) async -> AdminDesk.Outcome {
    await onThread {
      let process = Process()
      process.executableURL = executable
      process.arguments = arguments
      process.environment = control.map { ["MARTINET_CONTROL": $0] } ?? [:]
      let (standardInput, output, complaint) = (Pipe(), Pipe(), Pipe())
      process.standardInput = standardInput
      process.standardOutput = output
      process.standardError = complaint
      do { try process.run() } catch { return .init(complaint: "\(error)", exitCode: -1) }
      try? standardInput.fileHandleForWriting.write(contentsOf: Data(input.utf8))
      try? standardInput.fileHandleForWriting.close()
      var outcome = AdminDesk.Outcome()
      // Neither fills a pipe.
      outcome.output = text(of: output)
      outcome.complaint = text(of: complaint)
      process.waitUntilExit()
      outcome.exitCode = process.terminationStatus
      return outcome
    }
  }

  private func run(
    _ executable: URL, _ arguments: [String], control: String? = nil, input: String = ""
  ) async -> AdminDesk.Outcome {
    await Self.run(executable, arguments, control: control, input: input)
  }

  @Test func underTheNameOfIpvsadm() async throws {
    let ipvsadm = try linked("ipvsadm")
    defer { try? FileManager.default.removeItem(at: ipvsadm.deletingLastPathComponent()) }
    try await AdminDesk.serve { desk in
      func run(_ line: String, input: String = "") async -> AdminDesk.Outcome {
        let words = line.split(separator: " ").map(String.init)
        return await self.run(ipvsadm, words, control: desk.socketPath, input: input)
      }
      let table =
        "-A -t 192.168.1.149:80 -s rr\n-a -t 192.168.1.149:80 -r 192.168.1.151:80 -g -w 1\n"
      #expect(await run("-R", input: table) == .init())
      #expect(await run("-Sn") == .init(output: table))
      #expect(
        await run("-A -t 192.168.1.149:80 -s rr")
          == .init(complaint: "Service already exists\n", exitCode: 255))
      #expect(await run("-R", input: "-C\n-Q\n").exitCode == 255)
      #expect(
        await run("-Lnt 192.168.1.149:81") == .init(complaint: "No such service\n", exitCode: 1))
      #expect(
        await run("-x").complaint
          == "Try `\(ipvsadm.path) -h' or '\(ipvsadm.path) --help' for more information.\n")
      #expect(await run("-Sn") == .init(output: table))
      #expect(await run("").output.contains("TCP  192.168.1.149:http rr\n"))
      #expect(await run("--help").output.hasPrefix("ipvsadm v1.31 "))
    }
  }

  /// ipvsadm-save(8) writes what ipvsadm-restore(8) puts in the place of the whole table.
  @Test func underTheNamesOfTheCompanions() async throws {
    let (save, restore) = (try linked("ipvsadm-save"), try linked("ipvsadm-restore"))
    defer {
      for link in [save, restore] {
        try? FileManager.default.removeItem(at: link.deletingLastPathComponent())
      }
    }
    try await AdminDesk.serve { desk in
      let path = desk.socketPath
      let table = "-A -t 192.168.1.149:80 -s rr\n"
      #expect(await desk.ipvsadm("-A -u 192.168.1.149:53 -s rr") == .init())
      #expect(await run(restore, [], control: path, input: "# a table\n" + table) == .init())
      #expect(await run(save, ["-n"], control: path) == .init(output: table))
      #expect(await run(save, [], control: path).output.contains("149:http "))
      let twice = await run(restore, [], control: path, input: table + "# again\n" + table)
      #expect(twice == .init(complaint: "line 3: Service already exists\n", exitCode: 255))
      // Not even cleared.
      let wrong = await run(restore, [], control: path, input: "\nnonsense\n")
      #expect(wrong.exitCode == 255 && wrong.complaint.hasPrefix("line 2: Try `ipvsadm -h'"))
      #expect(await run(save, ["-n"], control: path).output == table)
      #expect(await run(save, ["-x"], control: path).exitCode == 1)
    }
  }

  @Test func asASubcommand() async throws {
    try await AdminDesk.serve { desk in
      let path = desk.socketPath
      let timeouts = AdminDesk.Outcome(output: "Timeout (tcp tcpfin udp): 900 120 300\n")
      let words = ["-L", "--timeout"]
      #expect(
        await run(Self.executable, ["ipvsadm", "--control", path] + words) == timeouts)
      #expect(
        await run(Self.executable, ["ipvsadm", "--control", path] + words, control: "/x")
          == timeouts)
      #expect(await run(Self.executable, ["ipvsadm"] + words, control: path) == timeouts)
      #expect(await run(Self.executable, ["ipvsadm", "-Lnc", "-c"], control: path).exitCode == 2)
      #expect(await run(Self.executable, ["ipvsadm", "--control"]).exitCode == 64)
      #expect(await run(Self.executable, ["ipvsadm", "-h"]).output.contains("--add-service"))
    }
  }

  /// `martinet service`; ipvsadm, which has no words for policies, leaves them.
  @Test func servicePolicies() async throws {
    try await AdminDesk.serve { desk in
      func run(_ line: String) async -> AdminDesk.Outcome {
        await self.run(
          Self.executable, line.split(separator: " ").map(String.init), control: desk.socketPath)
      }
      let web = "-t 192.168.1.149:80"
      let shown = """
        TCP  192.168.1.149:80
          removal            purge
          stray              drop
          ttl                one
          quiescent-clients  move

        """
      #expect(await run("service show").output == "")
      #expect(await run("ipvsadm -A \(web) -s rr") == .init())
      #expect(await run("service set \(web) --removal purge --stray drop") == .init())
      #expect(await run("service set \(web) --ttl one --quiescent-clients move") == .init())
      #expect(await run("ipvsadm -E \(web) -s wrr") == .init())
      #expect(await run("service show \(web)") == .init(output: shown))
      #expect(await run("service show --json").output.contains(#""ttl" : "one""#))
      #expect(await run("service show -u 192.168.1.149:80").complaint.contains("no service UDP"))
      #expect(await run("service set \(web)").complaint.contains("give --removal, --stray"))
      #expect(await run("service set --ttl one").complaint.contains("give -t VIP:port"))
      #expect(await run("service show -t nonsense").complaint.contains("is no service"))
      #expect(await run("ipvsadm -A -f 7 -6 -s rr") == .init())
      #expect(await run("service set -f 7 --ttl one").complaint.contains("no service FWM 7"))
      #expect(await run("service set -f 7 -6 --ttl one") == .init())
      #expect(await run("service show -f 7 -6").output.contains("FWM  7 IPv6"))
      #expect(await run("service show -f 0").complaint.contains("is no mark"))
      #expect(await run("service show -6").complaint.contains("goes with -f"))
      #expect(await run("service show \(web) -f 7").complaint.contains("give one service"))
      let refused = await run("service set \(web) --ttl two")
      #expect(refused.complaint.contains("'preserve', 'decrement' or 'one'"))
    }
  }

  @Test func withoutADirector() async {
    let outcome = await run(Self.executable, ["ipvsadm", "--control", "/nonexistent/s", "-C"])
    #expect(outcome.exitCode == 2 && outcome.output.isEmpty)
    #expect(
      outcome.complaint
        == "martinet ipvsadm: no director answers at /nonexistent/s: start `martinet run`, or name "
        + "its socket in MARTINET_CONTROL\n")
  }
}

private func text(of pipe: Pipe) -> String {
  String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
}
