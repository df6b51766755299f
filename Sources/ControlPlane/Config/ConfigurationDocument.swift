// SPDX-License-Identifier: Apache-2.0
import Yams

/// A configuration file for JSON, which is YAML too: numbers and flags are such, all else is text.
public struct ConfigurationDocument: Encodable {
  private let node: Node

  init(_ node: Node) { self.node = node }

  public func encode(to encoder: any Encoder) throws {
    switch node {
    case .scalar(let scalar):
      var container = encoder.singleValueContainer()
      if let number = Int64(scalar.string), String(number) == scalar.string {
        try container.encode(number)
      } else if let flag = Bool(scalar.string) {
        try container.encode(flag)
      } else {
        try container.encode(scalar.string)
      }
    case .sequence(let sequence):
      try sequence.map(ConfigurationDocument.init).encode(to: encoder)
    case .mapping(let mapping):
      let fields = mapping.map { ($0.key.string ?? "", ConfigurationDocument($0.value)) }
      try Dictionary(fields) { $1 }.encode(to: encoder)
    case .alias: break
    }
  }
}
