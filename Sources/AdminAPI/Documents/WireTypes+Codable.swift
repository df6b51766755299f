// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension Scheduler: Codable {}

/// A list of `fallback`, `port` and `flag-3`.
extension SchedulerFlags: Codable {
  private static let names: [(name: String, flag: SchedulerFlags)] = [
    ("fallback", .fallback), ("port", .port), ("flag-3", .third),
  ]

  public init(from decoder: any Decoder) throws {
    var container = try decoder.unkeyedContainer()
    self = []
    while !container.isAtEnd {
      let name = try container.decode(String.self)
      guard let flag = Self.names.first(where: { $0.name == name })?.flag else {
        throw DecodingError.dataCorruptedError(
          in: container,
          debugDescription: "\(name.debugDescription) is not a flag: give fallback or port")
      }
      insert(flag)
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.unkeyedContainer()
    for (name, flag) in Self.names where contains(flag) { try container.encode(name) }
  }
}

extension Persistence: Codable {
  private enum CodingKeys: String, CodingKey { case timeout, mask }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      timeoutSeconds: try container.decode(UInt32.self, forKey: .timeout),
      mask: try container.decodeIfPresent(IPAddress.self, forKey: .mask))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(timeoutSeconds, forKey: .timeout)
    try container.encodeIfPresent(mask, forKey: .mask)
  }
}

extension IPAddress: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard !text.utf8.contains(0), let address = IPAddress(text) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "\(text.debugDescription) is not an IP address")
    }
    self = address
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension Port: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let number = try container.decode(Int.self)
    guard let port = UInt16(exactly: number) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "\(number) is not a port: give 0 to 65535")
    }
    self.init(port)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }
}

extension MACAddress: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let address = MACAddress(text) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "\(text.debugDescription) is not a MAC address")
    }
    self = address
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension IPProtocol {
  /// The protocols a virtual service can have, by their names in JSON and in the API's paths.
  public init?(serviceProtocol name: some StringProtocol) {
    switch name {
    case "tcp": self = .tcp
    case "udp": self = .udp
    default: return nil
    }
  }

  /// `tcp`, `udp`, or the IANA number of another protocol.
  public var serviceProtocol: String {
    switch self {
    case .tcp: "tcp"
    case .udp: "udp"
    default: String(rawValue)
    }
  }
}

extension VirtualServiceKey: Codable {
  private enum CodingKeys: String, CodingKey {
    case ipProtocol = "protocol"
    case address, port
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let name = try container.decode(String.self, forKey: .ipProtocol)
    guard let ipProtocol = IPProtocol(serviceProtocol: name) else {
      throw DecodingError.dataCorruptedError(
        forKey: .ipProtocol, in: container,
        debugDescription: "protocol \(name.debugDescription) is neither \"tcp\" nor \"udp\"")
    }
    self.init(
      address: try container.decode(IPAddress.self, forKey: .address), ipProtocol: ipProtocol,
      port: try container.decode(Port.self, forKey: .port))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(ipProtocol.serviceProtocol, forKey: .ipProtocol)
    try container.encode(address, forKey: .address)
    try container.encode(port, forKey: .port)
  }
}
