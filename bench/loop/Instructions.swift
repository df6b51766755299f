// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation

/// Instructions per packet, counted by callgrind within the turns alone: the same on every run and
/// every machine of one architecture, so a gate may rest on them.
struct InstructionCounter {
  /// What a v4 hit may cost at most; 169 since pass 2 goes by pointer.
  static let ipv4HitLimit = 176.0

  /// The cases counted; small, for callgrind runs fifty times slower.
  static func workloads(smoke: Bool) -> [Workload] {
    let hits = [Family.ipv4, .ipv6].map { Workload(name: "hits-\($0)-1k", family: $0, flows: 1000) }
    return smoke
      ? hits
      : hits + [
        Workload(name: "hits-vlan-1k", family: .vlan, flows: 1000),
        Workload(name: "batch-1-1k", flows: 1000, batch: 1),
        Workload(name: "new-ipv4", kind: .new, flows: 3 * packets),
        Workload(name: "new-ipv6", kind: .new, family: .ipv6, flows: 3 * packets),
        Workload(name: "new-wlc", kind: .new, flows: 3 * packets, scheduler: .wlc),
        Workload(name: "new-persistent", kind: .new, flows: 3 * packets, isPersistent: true),
        Workload(name: "flood-ipv4", kind: .flood, flows: 4096),
        Workload(name: "flood-ipv6", kind: .flood, family: .ipv6, flows: 4096),
        Workload(name: "stray-1m", kind: .stray, flows: 1000),
        Workload(name: "garbage", kind: .garbage, flows: 1000),
      ]
  }

  private static let packets = 12_288
  private let folder: URL
  private let program: URL

  /// This program without its debug information, on which callgrind's reader chokes.
  init() throws {
    folder = URL(fileURLWithPath: NSTemporaryDirectory())
      .appendingPathComponent("martinet-bench-\(getpid())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    program = folder.appendingPathComponent("loop")
    let this = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    try Self.run(["objcopy", "--strip-debug", this, program.path])
  }

  func removeFiles() { try? FileManager.default.removeItem(at: folder) }

  /// Instructions per packet: what three times as many packets cost more, over their number, so
  /// that set-up is not in it.
  func count(_ workload: Workload, _ subject: SubjectName) throws -> Double {
    let once = try total(workload, subject, Self.packets)
    let thrice = try total(workload, subject, 3 * Self.packets)
    guard thrice > once else {
      throw ValidationError(
        "callgrind saw no instruction in \(subject.turnSymbol): was the function renamed?")
    }
    return Double(thrice - once) / Double(2 * Self.packets)
  }

  private func total(
    _ workload: Workload, _ subject: SubjectName, _ packets: Int
  ) throws -> Int {
    let output = folder.appendingPathComponent("callgrind.out")
    try Self.run([
      "valgrind", "--tool=callgrind", "--callgrind-out-file=\(output.path)",
      "--toggle-collect=\(subject.turnSymbol)", program.path, "repeat",
      "--case", workload.name, "--subject", subject.rawValue, "--packets", String(packets),
    ])
    let profile = Profile(try String(contentsOf: output, encoding: .utf8))
    try Self.rejectRuntimeCalls(profile, workload, subject)
    return profile.instructions.values.reduce(0, +)
  }

  /// All that ran within turns must be the subject's own code or a plain memory copy.
  private static func rejectRuntimeCalls(
    _ profile: Profile, _ workload: Workload, _ subject: SubjectName
  ) throws {
    guard subject == .martinet else { return }
    let foreign = profile.instructions.keys.filter { function in
      !function.hasPrefix("$s9DataPlane")
        && !["memcpy", "memset", "memmove"].contains { function.contains($0) }
    }
    guard foreign.isEmpty else {
      throw ValidationError(
        "\(workload.name): the loop called \(foreign.joined(separator: ", ")); "
          + "find the allocation or reference count that brought it in")
    }
  }

  private static func run(_ command: [String]) throws {
    let process = Process()
    let errors = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    process.standardOutput = FileHandle.nullDevice
    process.standardError = errors
    try process.run()
    let said = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw ValidationError(
        "'\(command[0])' failed, is it installed? It said:\n"
          + String(decoding: said, as: UTF8.self))
    }
  }
}

/// A callgrind profile: instructions executed in each function itself, callees left out.
struct Profile {
  private(set) var instructions: [String: Int] = [:]

  /// The format is in the manual of valgrind, "Callgrind Format Specification": a function's lines
  /// follow `fn=`, the line after `calls=` is the callee's cost, names are spelled once.
  init(_ text: String) {
    var names: [Substring: String] = [:]
    var function = ""
    var isCalleesCost = false
    for line in text.split(separator: "\n") {
      if let equals = line.firstIndex(of: "="), line.hasPrefix("fn=") || line.hasPrefix("cfn=") {
        let words = line[line.index(after: equals)...].split(separator: " ", maxSplits: 1)
        if words.count == 2 { names[words[0]] = String(words[1]) }
        if line.hasPrefix("fn=") { function = names[words[0]] ?? String(words[0]) }
      } else if line.hasPrefix("calls=") {
        isCalleesCost = true
      } else if let first = line.first, first.isNumber || "+-*".contains(first) {
        if !isCalleesCost, let cost = line.split(separator: " ").last.flatMap({ Int($0) }) {
          instructions[function, default: 0] += cost
        }
        isCalleesCost = false
      }
    }
  }
}

/// What `InstructionCounter` runs under callgrind: one subject, one pass.
struct Repeat: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "One pass of one subject, for callgrind and perf.")

  @Option(help: "A case by its name.") var `case`: String
  @Option(help: "martinet, c-twin or c-limit.") var subject: String
  @Option(help: "How many packets.") var packets: Int

  func run() throws {
    guard
      let workload = (InstructionCounter.workloads(smoke: false) + Workload.all)
        .first(where: { $0.name == `case` })
    else { throw ValidationError("no case is called '\(`case`)': the table names them all") }
    guard let name = SubjectName(rawValue: subject) else {
      throw ValidationError("no subject '\(subject)': martinet, c-twin and c-limit are there")
    }
    guard name != .limit || workload.subjects.contains(.limit) else {
      throw ValidationError("the limit is there for hits and garbage")
    }
    let runs = try Run.prepared(workload, name == .limit ? [.twin, .limit] : [name])
    runs.last?.pass(packets)
  }
}
