// SPDX-License-Identifier: Apache-2.0
import Testing

/// Each check finds what it is for and leaves the neighbouring cases alone.
@Suite struct CheckTests {
  private static let head = "// SPDX-License-" + "Identifier: Apache-2.0\n"

  private func findings(_ path: String, _ text: String) -> [String] {
    let file = SourceFile(path: path, text: Self.head + text)
    return Checks.perFile.flatMap { $0(file) }.map { "\($0.line) \($0.advice)" }
  }

  @Test func aCleanFileHasNoFindings() {
    let text = "import Glibc\n\nlet a = 1 // let it be\n"
    #expect(findings("Sources/DataPlane/Wire/A.swift", text) == [])
  }

  @Test func licenceLine() {
    let file = SourceFile(path: "Sources/A.swift", text: "let a = 1\n")
    #expect(Checks.licence(file).count == 1)
    let program = SourceFile(path: "bpf/a.c", text: Self.head)
    #expect(Checks.licence(program).count == 1)
  }

  @Test func lineLength() {
    #expect(findings("Sources/A.swift", String(repeating: "a", count: 100)) == [])
    #expect(findings("Sources/A.swift", String(repeating: "a", count: 101)).count == 1)
  }

  @Test(arguments: ["// TO" + "DO: later", "// let a = 1", "// if a {", "  // }"])
  func unfinished(text: String) {
    #expect(findings("Sources/A.swift", text).count == 1)
  }

  @Test(arguments: [".unsafe" + "Flags([])", "-Oun" + "checked", "\"-mar" + "ch=native\""])
  func manifest(text: String) {
    #expect(findings("Package.swift", text).count == 1)
  }

  @Test func printing() {
    #expect(findings("Sources/DataPlane/Wire/A.swift", "print(a)").count == 1)
    #expect(findings("Sources/DataPlane/Wire/A.swift", "// print(a)\n\"print(a)\"") == [])
    #expect(findings("Sources/martinet/A.swift", "print(a)") == [])
  }

  @Test(arguments: ["producer - consumer", "cachedConsumer += 1", "if head < tail {"])
  func ringArithmetic(text: String) {
    #expect(findings("Sources/DataPlane/Rings/A.swift", text).count == 1)
  }

  @Test(arguments: ["producer &- consumer", "cachedConsumer &+= 1", "if head == tail {"])
  func wrappingRingArithmetic(text: String) {
    #expect(findings("Sources/DataPlane/Rings/A.swift", text) == [])
  }

  @Test(
    arguments: [
      ("Sources/DataPlane/Wire/A.swift", "import Foundation"),
      ("Sources/DataPlane/Worker/A.swift", "import CXDP"),
      ("Sources/DataPlane/Port/A.swift", "@preconcurrency import ControlPlane"),
      ("Sources/AdminAPI/A.swift", "import ControlPlane"),
      ("Sources/ControlPlane/A.swift", "import AdminServer"),
      ("Sources/ControlPlane/A.swift", "import CXDP"),
    ])
  func upwardImports(path: String, text: String) {
    #expect(findings(path, text).count == 1)
  }

  @Test(
    arguments: [
      ("Sources/DataPlane/Port/A.swift", "import CXDP"),
      ("Sources/ControlPlane/A.swift", "import Foundation\nimport DataPlane"),
      ("Sources/martinet/A.swift", "import AdminServer\n// import CXDP"),
    ])
  func downwardImports(path: String, text: String) {
    #expect(findings(path, text) == [])
  }

  @Test func roomsThatNameEachOther() {
    let verdict = SourceFile(
      path: "Sources/DataPlane/Forwarding/Verdict.swift", text: "public struct Verdict: Sendable {")
    let ring = SourceFile(
      path: "Sources/DataPlane/Rings/Ring.swift",
      text: "// a Verdict\nvar v: Verdict = \"Verdict\"")
    let types = Checks.declaredTypes([verdict, ring])
    #expect(types == ["Forwarding": ["Verdict"]])
    #expect(
      Checks.foreignNames(ring, types: types)
        == [
          Finding(
            path: ring.path, line: 2, advice: "Rings may not know Forwarding's Verdict")
        ])
    #expect(Checks.foreignNames(verdict, types: types) == [])
  }
}
