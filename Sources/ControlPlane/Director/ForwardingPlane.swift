// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What the director needs of the workers: `WorkerGroup` is one.
public protocol ForwardingPlane: Sendable {
  /// Opens the way from the interface to the workers for a service's packets.
  func insertService(_ key: VirtualServiceKey) throws(DirectorError)

  /// Closes it: the kernel sees the packets again.
  func removeService(_ key: VirtualServiceKey) throws(DirectorError)
}
