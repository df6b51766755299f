// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A file of the repository, read whole.
struct SourceFile {
  /// Relative to the repository: `Sources/DataPlane/Wire/Tick.swift`.
  let path: String
  let lines: [String]

  init(path: String, text: String) {
    self.path = path
    lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  /// The lines' code, with string literals' contents and comments blanked, so that prose is not
  /// taken for code.
  var code: [String] { lines.map(Self.withoutProse) }

  static func withoutProse(_ line: String) -> String {
    var code = ""
    var inString = false
    var previous: Character = " "
    for character in line {
      if character == "\"" && previous != "\\" { inString.toggle() }
      if !inString && character == "/" && previous == "/" {
        code.removeLast()
        break
      }
      code.append(inString && character != "\"" ? " " : character)
      previous = character
    }
    return code
  }

  /// The modules that the file imports.
  var imports: [String] {
    code.compactMap { line in
      let words = line.split(separator: " ")
      guard let index = words.firstIndex(of: "import"), index < 3, words.count > index + 1,
        words[..<index].allSatisfy({ $0.hasPrefix("@") || accessLevels.contains(String($0)) })
      else { return nil }
      let name = words[index + 1]
      let kinds = ["struct", "class", "enum", "func", "protocol", "typealias", "let", "var"]
      let module = kinds.contains(String(name)) && words.count > index + 2 ? words[index + 2] : name
      return String(module.prefix { $0 != "." })
    }
  }
}

private let accessLevels = ["public", "package", "internal", "fileprivate", "private"]

/// The working tree that this test was compiled from.
enum Repository {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// Files below `folder` whose names end in one of `endings`, without build products.
  static func files(_ folder: String, endings: [String]) throws -> [SourceFile] {
    let base = root.appendingPathComponent(folder)
    guard let paths = FileManager.default.subpaths(atPath: base.path) else { return [] }
    return try paths.sorted()
      .filter { path in endings.contains { path.hasSuffix($0) } && !path.contains(".build") }
      .map { path in
        let text = try String(contentsOf: base.appendingPathComponent(path), encoding: .utf8)
        return SourceFile(path: "\(folder)/\(path)", text: text)
      }
  }

  static func file(_ path: String) throws -> SourceFile {
    let url = root.appendingPathComponent(path)
    return SourceFile(path: path, text: try String(contentsOf: url, encoding: .utf8))
  }

  /// All that people write here.
  static func sources() throws -> [SourceFile] {
    let endings = [".swift", ".c", ".h", ".sh", ".modulemap"]
    var files = try [file("Package.swift"), file(".ci/run")]
    for folder in ["Sources", "Tests", "Plugins", "bpf", "bench"] {
      files += try self.files(folder, endings: endings)
    }
    files += try self.files("scripts", endings: [""])
    return files
  }
}
