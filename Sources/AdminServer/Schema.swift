// SPDX-License-Identifier: Apache-2.0

/// As much of JSON Schema 2020-12 as the API's documents need.
indirect enum Schema: Encodable, Sendable {
  case string
  case words([String])
  case whole(ClosedRange<UInt64>)
  case number
  case flag
  case list(Schema)
  /// By any name.
  case map(Schema)
  /// Of these fields and no others.
  case object([String: Schema], optional: [String: Schema] = [:])
  case one([Schema])
  case any
  case named(String)

  /// From 0 on.
  static let count = whole(0...UInt64.max)
  static let word32 = whole(0...UInt64(UInt32.max))

  private enum CodingKeys: String, CodingKey {
    case type, minimum, maximum, items, properties, required, additionalProperties, oneOf
    case words = "enum"
    case reference = "$ref"
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .string: try container.encode("string", forKey: .type)
    case .words(let words):
      try container.encode("string", forKey: .type)
      try container.encode(words, forKey: .words)
    case .whole(let range):
      try container.encode("integer", forKey: .type)
      try container.encode(range.lowerBound, forKey: .minimum)
      try container.encode(range.upperBound, forKey: .maximum)
    case .number: try container.encode("number", forKey: .type)
    case .flag: try container.encode("boolean", forKey: .type)
    case .list(let items):
      try container.encode("array", forKey: .type)
      try container.encode(items, forKey: .items)
    case .map(let values):
      try container.encode("object", forKey: .type)
      try container.encode(values, forKey: .additionalProperties)
    case .object(let fields, let optional):
      try container.encode("object", forKey: .type)
      try container.encode(fields.merging(optional) { $1 }, forKey: .properties)
      if !fields.isEmpty { try container.encode(fields.keys.sorted(), forKey: .required) }
      try container.encode(false, forKey: .additionalProperties)
    case .any: break
    case .one(let schemas): try container.encode(schemas, forKey: .oneOf)
    case .named(let name):
      try container.encode("#/components/schemas/\(name)", forKey: .reference)
    }
  }
}
