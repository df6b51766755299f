// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// `GET /v1/vips`: whose the VIPs are.
public struct VirtualAddressesReport: Hashable, Sendable, Codable {
  /// A VIP, and whether the director's own interface has it.
  public struct Address: Hashable, Sendable, Codable {
    public var address: IPAddress
    public var isHeld: Bool

    public init(address: IPAddress, isHeld: Bool) {
      self.address = address
      self.isHeld = isHeld
    }
  }

  public var interface: String
  /// `master` or `backup`.
  public var role: String
  public var addresses: [Address]

  public init(interface: String, role: String, addresses: [Address]) {
    self.interface = interface
    self.role = role
    self.addresses = addresses
  }
}

/// `PUT /v1/vips`.
public struct RoleRequest: Hashable, Sendable, Codable {
  /// `master` or `backup`.
  public var role: String
}
