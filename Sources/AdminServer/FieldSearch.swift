// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import Foundation

/// Looks through a request's JSON for fields that its schema has not. What is left out has a
/// meaning of its own, so that a misspelt field, not looked at, would do what nobody asked for.
///
/// The text has been decoded before: where it is no JSON in UTF-8 the search ends.
struct FieldSearch {
  private let octets: [UInt8]
  private var place = 0
  private var path: [String] = []
  private let looksAtNumbers: Bool

  /// Throws a problem that names the first such field, and the nearest that there is.
  ///
  /// - Parameter looksAtNumbers: whether a number that its schema does not allow is one too.
  static func check(_ body: Data, _ schema: Schema, looksAtNumbers: Bool = false) throws {
    var search = FieldSearch(octets: Array(body), looksAtNumbers)
    try search.value(schema)
  }

  private init(octets: [UInt8], _ looksAtNumbers: Bool) {
    self.octets = octets
    self.looksAtNumbers = looksAtNumbers
  }

  private mutating func value(_ schema: Schema) throws {
    switch peek() {
    case UInt8(ascii: "{"): try object(schema)
    case UInt8(ascii: "["): try list(schema.items)
    case UInt8(ascii: "\""): _ = string()
    default:
      let start = place
      while place < octets.count, !",]} \t\r\n".utf8.contains(octets[place]) { place += 1 }
      guard looksAtNumbers else { return }
      try number(String(decoding: octets[start..<place], as: UTF8.self), schema)
    }
  }

  private mutating func object(_ schema: Schema) throws {
    place += 1
    while let word = string() {
      let name = text(of: word)
      path.append(name)
      guard let field = schema.field(name) else { throw problem(schema.fieldNames) }
      guard take(":") else { return }
      try value(field)
      path.removeLast()
      if !take(",") { break }
    }
    _ = take("}")
  }

  private mutating func list(_ items: Schema) throws {
    place += 1
    for index in 0... {
      guard let octet = peek(), octet != UInt8(ascii: "]") else { break }
      path.append("[\(index)]")
      try value(items)
      path.removeLast()
      if !take(",") { break }
    }
    _ = take("]")
  }

  private func number(_ text: String, _ schema: Schema) throws {
    guard let range = schema.range, text.drop(while: { $0 == "-" }).allSatisfy(\.isNumber) else {
      return
    }
    guard let number = UInt64(text), range.contains(number) else {
      throw Problem(
        .badRequest, "the request's \(words) is out of range",
        mend: "give \(range.lowerBound) to \(range.upperBound)")
    }
  }

  /// Where the search is, in the request.
  private var words: Substring {
    path.joined(separator: ".").replacing(".[", with: "[").prefix(200)
  }

  private func problem(_ known: [String]) -> Problem {
    let nearest = known.nearest(to: path.last ?? "").map { "the nearest is `\($0)`" }
    return Problem(
      .badRequest, "the request's \(words) is no known field", mend: nearest ?? "leave it out")
  }

  // MARK: Octets

  /// The next one that is no blank.
  private mutating func peek() -> UInt8? {
    while place < octets.count, " \t\r\n".utf8.contains(octets[place]) { place += 1 }
    return place < octets.count ? octets[place] : nil
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard peek() == UInt8(ascii: character) else { return false }
    place += 1
    return true
  }

  /// What stands between quotation marks; nil where none begin here.
  private mutating func string() -> Range<Int>? {
    guard take("\"") else { return nil }
    let start = place
    while place < octets.count, octets[place] != UInt8(ascii: "\"") {
      place += octets[place] == UInt8(ascii: "\\") ? 2 : 1
    }
    guard place < octets.count else { return nil }
    place += 1
    return start..<place - 1
  }

  private func text(of word: Range<Int>) -> String {
    let text = octets[word]
    guard text.contains(UInt8(ascii: "\\")) else { return String(decoding: text, as: UTF8.self) }
    let quoted = Data("\"".utf8) + text + Data("\"".utf8)
    return (try? JSONDecoder().decode(String.self, from: quoted)) ?? ""
  }
}

extension Schema {
  /// What an object of it has by this name; nil for nothing.
  fileprivate func field(_ name: String) -> Schema? {
    switch self {
    case .object(let fields, let optional): fields[name] ?? optional[name]
    case .one(let schemas): schemas.lazy.compactMap { $0.field(name) }.first
    case .named(let known): Schemas.all[known]?.field(name)
    default: .any
    }
  }

  fileprivate var fieldNames: [String] {
    switch self {
    case .object(let fields, let optional): (Array(fields.keys) + optional.keys).sorted()
    case .one(let schemas): schemas.flatMap(\.fieldNames)
    case .named(let known): Schemas.all[known]?.fieldNames ?? []
    default: []
    }
  }

  /// Of whole numbers; nil for what is none.
  fileprivate var range: ClosedRange<UInt64>? {
    switch self {
    case .whole(let range): range
    case .named(let known): Schemas.all[known]?.range
    default: nil
    }
  }

  fileprivate var items: Schema {
    switch self {
    case .list(let items): items
    case .named(let known): Schemas.all[known]?.items ?? .any
    default: .any
    }
  }
}
