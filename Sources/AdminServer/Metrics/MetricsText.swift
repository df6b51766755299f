// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Prometheus' text exposition format 0.0.4, family by family.
struct MetricsText {
  /// What a family's samples are.
  enum Kind: String { case counter, gauge, histogram }

  static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  private(set) var text = ""

  /// Begins a family; a counter's name ends in `_total`.
  mutating func family(_ name: String, _ kind: Kind, _ help: String) -> Family {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    return Family(name: name)
  }

  mutating func add(_ value: some BinaryInteger, _ labels: Labels = Labels(), to family: Family) {
    text += "\(family.name)\(labels.text) \(value)\n"
  }

  mutating func add(_ value: Double, _ labels: Labels = Labels(), to family: Family) {
    text += "\(family.name)\(labels.text) \(value)\n"
  }

  /// `bounds` are the largest values of all classes but the last; `sum` is in their unit.
  mutating func add(
    _ histogram: DoublingHistogram, bounds: [Double], sum: Double, _ labels: [(String, String)],
    to family: Family
  ) {
    let bucket = Family(name: family.name + "_bucket")
    var total: UInt64 = 0
    for (place, count) in histogram.counts.enumerated() {
      total &+= count
      let bound = place < bounds.count ? "\(bounds[place])" : "+Inf"
      add(total, Labels(labels + [("le", bound)]), to: bucket)
    }
    add(sum, Labels(labels), to: Family(name: family.name + "_sum"))
    add(total, Labels(labels), to: Family(name: family.name + "_count"))
  }

  struct Family { let name: String }

  /// `{name="value",…}`, or nothing.
  struct Labels: ExpressibleByDictionaryLiteral {
    let text: String

    init() { text = "" }

    init(dictionaryLiteral elements: (String, String)...) { self.init(elements) }

    init(_ elements: [(String, String)]) {
      text = "{" + elements.map { "\($0)=\"\(Self.escaped($1))\"" }.joined(separator: ",") + "}"
    }

    private static func escaped(_ value: String) -> String {
      let isPlain = value.utf8.allSatisfy { $0 != 0x22 && $0 != 0x5c && $0 != 0x0a }
      return isPlain
        ? value
        : value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing(
          "\n", with: "\\n")
    }
  }
}

extension String {
  /// `rxRingFull` as `rx_ring_full`: how Prometheus writes names.
  var snakeCased: String {
    reduce(into: "") { $0 += $1.isUppercase ? "_" + $1.lowercased() : String($1) }
  }
}
