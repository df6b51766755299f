// SPDX-License-Identifier: Apache-2.0
#if !DEBUG
  import DataPlane
  import Foundation
  import TestSupport
  import Testing

  /// Reads the machine code of the worker's turn in the optimised build: everything it can reach
  /// is Martinet's own code or a plain memory copy, so no runtime call (retain, release,
  /// allocObject, beginAccess, once, dynamicCast, malloc, locks) is.
  @Suite(.requires(.commands("objdump", "nm"))) struct DisassemblyTests {
    /// What may be called besides the DataPlane module itself.
    private static let harmless: Set<String> = ["memcpy", "memmove", "memset"]
    private static let module = "$s9DataPlane"

    /// This very program: it has the module linked in.
    private static let program =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""

    @Test func reachesNoRuntimeCall() throws {
      var waiting = try ["Forwarder.forward(", "WorkerLoop.turn(", "WorkerLoop.wakeups("]
        .map { try #require(try Self.symbol(named: "DataPlane.\($0)")) }
      let entries = waiting.count
      var reached = Set(waiting)
      var findings: [String] = []
      while let function = waiting.popLast() {
        for callee in try Self.callees(of: function) where !Self.harmless.contains(callee) {
          if !callee.hasPrefix(Self.module) {
            findings.append("\(Self.demangled(function)) -> \(Self.demangled(callee))")
          } else if reached.insert(callee).inserted {
            waiting.append(callee)
          }
        }
      }
      #expect(findings.isEmpty, "\(findings.joined(separator: "\n"))")
      #expect(reached.count > entries + 3, "the walk must see the slow paths too")
    }

    /// The walk itself must be able to fail: making a snapshot allocates.
    @Test func seesAnAllocationWhereThereIsOne() throws {
      let root = try #require(try Self.symbol(named: "DataPlane.Snapshot.init("))
      let callees = try Self.callees(of: root)
      #expect(!callees.filter { !$0.hasPrefix(Self.module) }.isSubset(of: Self.harmless))
    }

    private static func output(_ arguments: [String]) throws -> String {
      let (ending, output) = try Child.run(arguments, seconds: 120)
      guard ending == .exit(0) else { throw Failure("\(arguments[0]): \(ending)\n\(output)") }
      return output
    }

    /// The mangled name of the one function whose demangled name begins so.
    private static func symbol(named name: String) throws -> String? {
      try output(["nm", "--defined-only", program]).split(separator: "\n").lazy
        .compactMap { $0.split(separator: " ").last.map(String.init) }
        .first { $0.hasPrefix(module) && demangled($0).hasPrefix(name) }
    }

    /// Names of all that `function` calls or jumps to outside itself; an indirect call is one too.
    /// Not the jump by a switch's table of distances: `movslq` from the table, `add`, soon `jmp`.
    private static func callees(of function: String) throws -> Set<String> {
      let listing = try output([
        "objdump", "-d", "--no-show-raw-insn", "--disassemble=\(function)", program,
      ])
      var callees: Set<String> = []
      var operations: [Substring] = []
      for line in listing.split(separator: "\n") {
        let words = line.split(separator: "\t").last?.split(separator: " ") ?? []
        operations = operations.suffix(7) + [words.first ?? ""]
        guard let operation = words.first, let operand = words.last, words.count > 1,
          operation.hasPrefix("call") || operation.hasPrefix("j")
        else { continue }
        guard operand.hasPrefix("<") else {
          if operation == "jmp", operations.contains("movslq"), operations.contains("add") {
            continue
          }
          callees.insert("\(operation) \(operand)")
          continue
        }
        let target = operand.dropFirst().prefix { $0 != ">" && $0 != "+" && $0 != "@" }
        if target != function { callees.insert(String(target)) }
      }
      return callees
    }

    private static func demangled(_ name: String) -> String {
      guard name.hasPrefix("$s") else { return name }
      return name.withCString { mangled in
        guard let text = demangle(mangled, UInt(strlen(mangled)), nil, nil, 0) else { return name }
        defer { free(text) }
        return String(cString: text)
      }
    }
  }

  /// The runtime's own demangler, stdlib/public/runtime/Demangle.cpp.
  @_silgen_name("swift_demangle")
  private func demangle(
    _ name: UnsafePointer<CChar>, _ length: UInt, _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: UnsafeMutablePointer<UInt>?, _ flags: UInt32
  ) -> UnsafeMutablePointer<CChar>?
#endif
