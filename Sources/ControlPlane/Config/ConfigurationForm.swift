// SPDX-License-Identifier: Apache-2.0
import Yams

/// One mapping of the document while its fields are visited, to read them or to write them: so
/// that a field is one line, and what is read is what is shown.
struct ConfigurationForm {
  private enum Purpose {
    /// By the same places: so few keys are found sooner by looking at each than by hashing them.
    case reading(names: [String], nodes: [Node])
    case writing
  }

  private let purpose: Purpose
  private let path: String
  private let line: Int
  private var isMapping = true
  private var known: [String] = []
  private var written: [(Node, Node)] = []
  private(set) var findings: [ConfigurationFinding] = []
  /// Whether the scalars of this mapping are right.
  private(set) var isSound = true

  /// To write.
  init() {
    purpose = .writing
    path = ""
    line = 0
  }

  /// To read; a node that is no mapping is a finding and reads as an empty one.
  init(reading node: Node, path: String) {
    var (names, nodes) = ([String](), [Node]())
    line = node.mark?.line ?? 1
    self.path = path
    if case .mapping(let mapping) = node {
      names = mapping.map { $0.key.scalar?.string ?? "?" }
      nodes = mapping.map(\.value)
    } else {
      (isMapping, isSound) = (false, false)
    }
    purpose = .reading(names: names, nodes: nodes)
    if !isMapping { complain("is no mapping", "give `key: value` lines") }
  }

  /// A scalar that has a default: `value` as it is now.
  mutating func field<Value>(
    _ name: String, _ field: ConfigurationField<Value>, _ value: inout Value
  ) {
    if case .writing = purpose { write(name, Self.scalar(field.text(value))) }
    if let given = read(name, field) { value = given }
  }

  /// A scalar that may be absent.
  mutating func field<Value>(
    _ name: String, _ field: ConfigurationField<Value>, _ value: inout Value?
  ) {
    if case .writing = purpose, let value {
      write(name, Self.scalar(field.text(value)))
    }
    if let given = read(name, field) { value = given }
  }

  private mutating func write(_ name: String, _ value: Node) {
    written.append((Self.scalar(name), value))
  }

  /// As text, whatever YAML takes it for: nobody has to find that out.
  private static func scalar(_ text: String) -> Node { Node(text, Tag(.implicit, .basic)) }

  private mutating func read<Value>(
    _ name: String, _ field: ConfigurationField<Value>
  ) -> Value? {
    guard case .reading = purpose else { return nil }
    known.append(name)
    guard let node = node(at: name) else { return nil }
    let text = node.scalar?.string
    if let value = text.flatMap(field.parse) { return value }
    let quoted = field.isQuoted ? text : nil
    complain(
      name, node, quoted.map { "\($0.debugDescription) is wrong" } ?? "is wrong",
      "give \(field.expected)")
    return nil
  }

  /// A scalar that must be given.
  mutating func required<Value>(
    _ name: String, _ field: ConfigurationField<Value>, _ value: inout Value
  ) {
    requirePresence(of: name, "give \(field.expected)")
    self.field(name, field, &value)
  }

  /// A mapping of its own; left out where there is none.
  mutating func section(_ name: String, _ visit: (inout ConfigurationForm) -> Void) {
    switch purpose {
    case .writing:
      var form = ConfigurationForm()
      visit(&form)
      if !form.written.isEmpty { write(name, form.node) }
    case .reading:
      known.append(name)
      if let node = node(at: name) { read(node, at: name, visit) }
    }
  }

  /// The same, where it must be given.
  mutating func requiredSection(_ name: String, _ visit: (inout ConfigurationForm) -> Void) {
    requirePresence(of: name, "add it")
    section(name, visit)
  }

  /// Whether the mapping has a key: where it is written, as the caller has it.
  func has(_ name: String, whereWritten isWritten: Bool) -> Bool {
    guard case .reading = purpose else { return isWritten }
    return node(at: name) != nil
  }

  /// A key that must not be there, as another one is.
  mutating func exclude(_ name: String, by other: String) {
    guard case .reading = purpose else { return }
    known.append(name)
    if let node = node(at: name) {
      complain(name, node, "stands beside `\(other)`, which has it all", "keep one of them")
    }
  }

  /// A mapping that turns something on by being there.
  mutating func section<Value>(
    _ name: String, _ value: inout Value?, new: Value,
    _ visit: (inout ConfigurationForm, inout Value) -> Void
  ) {
    if case .reading = purpose { value = node(at: name).map { _ in new } }
    guard var present = value else {
      known.append(name)
      return
    }
    section(name) { visit(&$0, &present) }
    value = present
  }

  /// A sequence of mappings; none where it is not given.
  mutating func list<Element>(
    _ name: String, _ elements: inout [Element], new: Element,
    _ visit: (inout ConfigurationForm, inout Element) -> Void
  ) {
    switch purpose {
    case .writing:
      let nodes = elements.map { element in
        var (form, element) = (ConfigurationForm(), element)
        visit(&form, &element)
        return form.node
      }
      if !nodes.isEmpty { write(name, Node(nodes)) }
    case .reading:
      known.append(name)
      guard let node = node(at: name) else { return }
      guard let sequence = node.sequence else {
        return complain(name, node, "is no list", "give `- ` lines")
      }
      for (index, node) in sequence.enumerated() {
        read(node, at: "\(name)[\(index)]") { form in
          var element = new
          visit(&form, &element)
          elements.append(element)
        }
      }
    }
  }

  /// Notes what is wrong with the mapping as a whole, where it is read and its scalars are right.
  mutating func check<Failure: ExplainedError>(_ rule: () throws(Failure) -> Void) {
    guard case .reading = purpose, isSound else { return }
    do {
      try rule()
    } catch {
      complain(error.explanation.cause, error.explanation.mend)
    }
  }

  /// The same, of what has no error.
  mutating func check(_ holds: Bool, _ cause: String, _ mend: String) {
    guard case .reading = purpose, isSound, !holds else { return }
    complain(cause, mend)
  }

  /// What was written.
  var node: Node { Node(written) }

  /// nil where the key is not given.
  private func node(at name: String) -> Node? {
    guard case .reading(let names, let nodes) = purpose else { return nil }
    return names.firstIndex(of: name).map { nodes[$0] }
  }

  private mutating func read(
    _ node: Node, at name: String, _ visit: (inout ConfigurationForm) -> Void
  ) {
    var form = ConfigurationForm(reading: node, path: path.isEmpty ? name : "\(path).\(name)")
    visit(&form)
    form.finish()
    findings += form.findings
  }

  /// Notes the keys that no field took.
  mutating func finish() {
    guard case .reading(let names, let nodes) = purpose else { return }
    for (name, node) in zip(names, nodes) where !known.contains(name) {
      let nearest = known.nearest(to: name).map { "the nearest is `\($0)`" }
      complain(name, node, "is no known key", nearest ?? "leave it out")
    }
  }

  private mutating func requirePresence(of name: String, _ mend: String) {
    guard case .reading = purpose, isMapping, node(at: name) == nil else { return }
    isSound = false
    complain("`\(name)` is missing", mend)
  }

  private mutating func complain(
    _ name: String, _ node: Node, _ cause: String, _ mend: String
  ) {
    isSound = false
    findings.append(
      ConfigurationFinding(
        line: node.mark?.line ?? line, column: node.mark?.column,
        path: path.isEmpty ? name : "\(path).\(name)", cause: cause, mend: mend))
  }

  /// Of the mapping as a whole.
  private mutating func complain(_ cause: String, _ mend: String?) {
    findings.append(ConfigurationFinding(line: line, path: path, cause: cause, mend: mend))
  }
}
