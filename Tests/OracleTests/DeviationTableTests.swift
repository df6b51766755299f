// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// The README's table of differences and what the tests assert are the same list.
@Suite struct DeviationTableTests {
  private let repository = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../..").standardized

  private func text(_ path: String) throws -> String {
    try String(contentsOf: repository.appending(path: path), encoding: .utf8)
  }

  @Test func everyRowIsAsserted() throws {
    let section = try text("README.md").split(separator: "\n## ")
      .first { $0.hasPrefix("Differences from LVS") }
    let rows = try #require(section).split(separator: "\n").filter { $0.hasPrefix("| ") }
      .dropFirst().compactMap { $0.dropFirst(2).split(separator: " | ").first.map(String.init) }
    let asserted = Deviation.allCases.map(\.rawValue) + Deviation.provenElsewhere.keys
    #expect(rows.filter { !asserted.contains($0) } == [], "in the README only")
    #expect(asserted.filter { !rows.contains($0) } == [], "in the tests only")
    #expect(Set(rows).count == rows.count)
  }

  /// A row is asserted by a test that names it.
  @Test func everyDeviationIsShown() throws {
    let folder = repository.appending(path: "Tests/OracleTests")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      .filter { $0.hasSuffix(".swift") && $0 != "Deviation.swift" }
    let tests = try names.map { try text("Tests/OracleTests/\($0)") }.joined()
    for deviation in Deviation.allCases {
      #expect(tests.contains(".\(deviation)"), "\(deviation)")
    }
    for test in Deviation.provenElsewhere.values {
      let words = test.split(separator: ".")
      let places = ["DataPlaneTests", "OracleTests"].map { "Tests/\($0)/\(words[0]).swift" }
      let isThere = places.contains { (try? text($0))?.contains("func \(words[1])(") == true }
      #expect(isThere, "\(test)")
    }
  }
}
