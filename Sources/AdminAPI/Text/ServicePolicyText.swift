// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension ServicePolicyReport {
  /// The service as ipvsadm names it, then a line per policy, by the names of the options that
  /// set them.
  public var text: String {
    let lines = [
      ("removal", policy.removal.rawValue), ("stray", policy.stray.rawValue),
      ("ttl", policy.timeToLive.rawValue),
      ("quiescent-clients", policy.quiescentClients.rawValue),
    ]
    return TableText(names: .none).listedName(service) + "\n"
      + lines.map { "  " + padded($0, 19) + $1 + "\n" }.joined()
  }
}
