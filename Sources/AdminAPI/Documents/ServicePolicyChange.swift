// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What is to change of a service's policy; what is left out stays.
public struct ServicePolicyChange: Hashable, Sendable, Codable {
  public var removal: ServicePolicy.Removal?
  public var stray: ServicePolicy.Stray?
  public var timeToLive: ServicePolicy.TimeToLive?
  public var quiescentClients: ServicePolicy.QuiescentClients?

  enum CodingKeys: String, CodingKey {
    case removal, stray
    case timeToLive = "ttl"
    case quiescentClients
  }

  public init(
    removal: ServicePolicy.Removal? = nil, stray: ServicePolicy.Stray? = nil,
    timeToLive: ServicePolicy.TimeToLive? = nil,
    quiescentClients: ServicePolicy.QuiescentClients? = nil
  ) {
    self.removal = removal
    self.stray = stray
    self.timeToLive = timeToLive
    self.quiescentClients = quiescentClients
  }

  public func applied(to policy: ServicePolicy) -> ServicePolicy {
    var policy = policy
    if let removal { policy.removal = removal }
    if let stray { policy.stray = stray }
    if let timeToLive { policy.timeToLive = timeToLive }
    if let quiescentClients { policy.quiescentClients = quiescentClients }
    return policy
  }
}

/// A service's policy, as `martinet service show` prints it.
public struct ServicePolicyReport: Hashable, Sendable, Codable {
  public var service: VirtualServiceKey
  public var policy: ServicePolicy

  public init(service: VirtualServiceKey, policy: ServicePolicy) {
    self.service = service
    self.policy = policy
  }
}

/// The same document, all of it.
extension ServicePolicy: Codable {
  public init(from decoder: any Decoder) throws {
    typealias CodingKeys = ServicePolicyChange.CodingKeys
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(for: .tcp)
    removal = try container.decode(Removal.self, forKey: .removal)
    stray = try container.decode(Stray.self, forKey: .stray)
    timeToLive = try container.decode(TimeToLive.self, forKey: .timeToLive)
    quiescentClients = try container.decode(QuiescentClients.self, forKey: .quiescentClients)
  }

  public func encode(to encoder: any Encoder) throws {
    try ServicePolicyChange(
      removal: removal, stray: stray, timeToLive: timeToLive, quiescentClients: quiescentClients
    ).encode(to: encoder)
  }
}

extension ServicePolicy.Removal: Codable {}
extension ServicePolicy.Stray: Codable {}
extension ServicePolicy.TimeToLive: Codable {}
extension ServicePolicy.QuiescentClients: Codable {}

extension RawRepresentable where Self: Decodable & CaseIterable, RawValue == String {
  /// One of an enumeration's words; another is answered with them all.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let word = try container.decode(String.self)
    guard let value = Self(rawValue: word) else {
      let words = Self.allCases.map(\.rawValue).joined(separator: ", ")
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "\(word.debugDescription) is none of \(words)")
    }
    self = value
  }
}
