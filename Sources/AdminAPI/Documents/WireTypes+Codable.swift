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
          debugDescription: "\(name.debugDescription) is neither fallback nor port")
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
        in: container, debugDescription: "\(number) is not a port from 0 to 65535")
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
  /// The protocols a virtual service can have, by their names in JSON and in the API's paths, and
  /// `ip`, under which the clients of a mark's service are listed.
  public init?(serviceProtocol name: some StringProtocol) {
    switch name {
    case "tcp": self = .tcp
    case "udp": self = .udp
    case "ip": self.init(rawValue: 0)
    case "sctp": self = .sctp
    default: return nil
    }
  }

  /// `tcp`, `udp`, `sctp`, `ip`, or the IANA number of another protocol.
  public var serviceProtocol: String {
    switch self {
    case .tcp: "tcp"
    case .udp: "udp"
    case IPProtocol(rawValue: 0): "ip"
    case .sctp: "sctp"
    default: String(rawValue)
    }
  }
}

extension FirewallMark: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let number = UInt32(exactly: try container.decode(Int.self)), number > 0 else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "a mark is a number from 1 to 4294967295")
    }
    self.init(rawValue: number)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }
}

/// `{"protocol":"tcp","address":"192.0.2.1","ports":"80-90"}`.
extension VirtualPorts: Codable {
  private enum CodingKeys: String, CodingKey {
    case ipProtocol = "protocol"
    case address, ports
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let text = try container.decode(String.self, forKey: .ports)
    guard let ports = ClosedRange<Port>(ports: text) else {
      throw DecodingError.dataCorruptedError(
        forKey: .ports, in: container,
        debugDescription: "\(text.debugDescription) is neither a port, a range as 80-90, nor 0")
    }
    self.init(
      address: try container.decode(IPAddress.self, forKey: .address),
      ipProtocol: try IPProtocol(from: container, forKey: .ipProtocol), ports: ports)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(ipProtocol.serviceProtocol, forKey: .ipProtocol)
    try container.encode(address, forKey: .address)
    try container.encode(ports.portText, forKey: .ports)
  }
}

extension IPProtocol {
  fileprivate init<Key>(
    from container: KeyedDecodingContainer<Key>, forKey key: Key
  ) throws {
    let name = try container.decode(String.self, forKey: key)
    guard let ipProtocol = IPProtocol(serviceProtocol: name) else {
      throw DecodingError.dataCorruptedError(
        forKey: key, in: container,
        debugDescription: "protocol \(name.debugDescription) is none of \"tcp\", \"udp\", \"sctp\"")
    }
    self = ipProtocol
  }
}

/// `{"protocol":"tcp","address":"192.0.2.1","port":80}`, or `{"mark":1,"ipVersion":4}`.
extension VirtualServiceKey: Codable {
  private enum CodingKeys: String, CodingKey {
    case ipProtocol = "protocol"
    case address, port, mark, ipVersion
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    if let mark = try container.decodeIfPresent(FirewallMark.self, forKey: .mark) {
      let version = try container.decodeIfPresent(Int.self, forKey: .ipVersion) ?? 4
      guard version == 4 || version == 6 else {
        throw DecodingError.dataCorruptedError(
          forKey: .ipVersion, in: container, debugDescription: "\(version) is neither 4 nor 6")
      }
      self.init(mark: mark, isIPv6: version == 6)
      return
    }
    self.init(
      address: try container.decode(IPAddress.self, forKey: .address),
      ipProtocol: try IPProtocol(from: container, forKey: .ipProtocol),
      port: try container.decode(Port.self, forKey: .port))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    if let mark {
      try container.encode(mark, forKey: .mark)
      try container.encode(address.version, forKey: .ipVersion)
      return
    }
    try container.encode(ipProtocol.serviceProtocol, forKey: .ipProtocol)
    try container.encode(address, forKey: .address)
    try container.encode(port, forKey: .port)
  }
}

extension IPAddress {
  /// 4 or 6.
  public var version: Int { if case .v4 = self { 4 } else { 6 } }
}

extension VirtualServiceKey {
  /// Its name in the API's paths: `tcp/192.0.2.1/80`, `mark/1/4`.
  public var path: String {
    mark.map { "mark/\($0.rawValue)/\(address.version)" }
      ?? "\(ipProtocol.serviceProtocol)/\(address)/\(port.rawValue)"
  }

  /// Of three words of a path.
  public init?(path words: [String]) {
    guard words.count == 3 else { return nil }
    if words[0] == "mark" {
      guard let number = UInt32(words[1]), number > 0, words[2] == "4" || words[2] == "6" else {
        return nil
      }
      self.init(mark: FirewallMark(rawValue: number), isIPv6: words[2] == "6")
    } else {
      guard let ipProtocol = IPProtocol(serviceProtocol: words[0]),
        !words[1].utf8.contains(0), let address = IPAddress(words[1]), let port = UInt16(words[2])
      else { return nil }
      self.init(address: address, ipProtocol: ipProtocol, port: Port(port))
    }
  }
}
