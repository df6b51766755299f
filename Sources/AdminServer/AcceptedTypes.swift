// SPDX-License-Identifier: Apache-2.0
import NIOHTTP1

/// What the header field Accept wants: media ranges with their weights (RFC 9110 §12.5.1).
///
/// Other parameters than the weight are not looked at, and a range that is none is left out.
struct AcceptedTypes {
  private let ranges: [(name: String, weight: Double)]

  init(_ headers: HTTPHeaders) {
    ranges = headers[canonicalForm: "Accept"].compactMap(Self.range)
  }

  /// Whether `type` is wanted more than `usual`: by its weight or, where that is the same, because
  /// it is named more exactly.
  func prefer(_ type: String, to usual: String) -> Bool {
    let (wanted, other) = (preference(for: type), preference(for: usual))
    return wanted.weight > 0 && wanted > other
  }

  /// The weight that the most exact ranges give, the highest of several; 0 where none does.
  private func preference(for type: String) -> (weight: Double, exactness: Int) {
    let names = ["*/*", "\(type.prefix { $0 != "/" })/*", type]
    for (exactness, name) in names.enumerated().reversed() {
      let weights = ranges.filter { $0.name == name }.map(\.weight)
      if let weight = weights.max() { return (weight, exactness) }
    }
    return (0, 0)
  }

  private static func range(_ text: Substring) -> (name: String, weight: Double)? {
    let parts = text.split(separator: ";").map { $0.filter { !$0.isWhitespace }.lowercased() }
    guard let name = parts.first, name.contains("/") else { return nil }
    guard let weight = parts.dropFirst().first(where: { $0.hasPrefix("q=") })?.dropFirst(2) else {
      return (name, 1)
    }
    // RFC 9110 §12.4.2: three decimals at most; no sign, no exponent.
    guard weight.count <= 5, weight.allSatisfy({ $0.isASCII && $0.isNumber || $0 == "." }),
      let number = Double(weight), number <= 1
    else { return nil }
    return (name, number)
  }
}
