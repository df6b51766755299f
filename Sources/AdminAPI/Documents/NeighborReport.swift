// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// A real server's entry in the kernel's neighbour table, and what it went through.
public struct NeighborReport: Hashable, Sendable, Codable {
  public enum State: String, Hashable, Sendable, Codable {
    /// It answers.
    case resolved
    /// It answered once: live connections still go to its last MAC address.
    case silent
    /// It never answered.
    case unresolved
  }

  public var address: IPAddress
  public var state: State
  /// In this state.
  public var ageSeconds: UInt64
  /// The last that answered.
  public var macAddress: MACAddress?
  /// The one before.
  public var previousMACAddress: MACAddress?
  /// Of the MAC address, since it is a real server.
  public var changes: UInt64
  /// Times that it fell silent.
  public var silences: UInt64
  /// It fell silent three times within ten minutes, less than ten minutes ago.
  public var isFlapping: Bool
  /// Within a minute it had another MAC address and the former again, less than ten minutes ago.
  public var isDuplicate: Bool
  /// In which it is a real server.
  public var services: [VirtualServiceKey]

  public init(
    address: IPAddress, state: State, ageSeconds: UInt64 = 0, macAddress: MACAddress? = nil,
    previousMACAddress: MACAddress? = nil, changes: UInt64 = 0, silences: UInt64 = 0,
    isFlapping: Bool = false, isDuplicate: Bool = false, services: [VirtualServiceKey] = []
  ) {
    self.address = address
    self.state = state
    self.ageSeconds = ageSeconds
    self.macAddress = macAddress
    self.previousMACAddress = previousMACAddress
    self.changes = changes
    self.silences = silences
    self.isFlapping = isFlapping
    self.isDuplicate = isDuplicate
    self.services = services
  }
}
