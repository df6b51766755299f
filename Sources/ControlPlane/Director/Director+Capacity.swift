// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension Director {
  /// Connections that the workers' tables have room for, all together.
  public var connectionCapacity: Int {
    plane.views.reduce(0) { $0 + $1.ipv4Entries + $1.ipv6Entries }
  }
}
