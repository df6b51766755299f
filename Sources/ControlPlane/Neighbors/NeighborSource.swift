// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Something the network told about a real server or an egress interface.
public enum NeighborEvent: Hashable, Sendable {
  /// The neighbour entry of a followed address changed.
  case neighbor(IPAddress, Neighbor)
  /// An egress interface has another MAC address or MTU, lost or regained its link.
  case link(EgressIndex, MACAddress, mtu: Int, isUp: Bool)
  /// An egress interface was deleted or moved to another network namespace.
  case linkGone(EgressIndex, name: String)
}

/// Where real servers' MAC addresses come from: the kernel, or a test.
public protocol NeighborSource: Sendable {
  /// Begins to keep `address` resolved and says what is known of it now. An address that direct
  /// routing cannot reach is refused with the reason. Following twice is following once.
  func follow(_ address: IPAddress) throws(DirectorError) -> Neighbor

  /// Undoes `follow`: the entry is left to the kernel's own ageing.
  func unfollow(_ address: IPAddress)

  /// Changes since the source was made, for one reader.
  var events: AsyncStream<NeighborEvent> { get }
}
