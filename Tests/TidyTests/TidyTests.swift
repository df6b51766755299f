// SPDX-License-Identifier: Apache-2.0
import Testing

/// The repository keeps the habits of its design.
@Suite struct TidyTests {
  @Test func everyFileKeepsTheHabits() throws {
    let sources = try Repository.sources()
    #expect(sources.count > 20)
    for file in sources {
      for finding in Checks.perFile.flatMap({ $0(file) }) { Issue.record("\(finding)") }
    }
  }

  @Test func theRoomsOfDataPlaneKeepTheirDistance() throws {
    let files = try Repository.files("Sources/DataPlane", endings: [".swift"])
    let types = Checks.declaredTypes(files)
    #expect(types["Forwarding"]?.contains("Verdict") == true)
    for finding in files.flatMap({ Checks.foreignNames($0, types: types) }) {
      Issue.record("\(finding)")
    }
  }

  @Test func theReadmeSaysWhereWeDifferFromLVS() throws {
    let readme = try Repository.file("README.md")
    #expect(readme.lines.contains { $0.hasPrefix("## Differences from LVS") })
    #expect(readme.lines.contains { $0.hasPrefix("| LVS ") && $0.contains("| Martinet ") })
  }
}
