// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension IPProtocol {
  /// The protocol of services that the long option of this name gives.
  init(ipvsadmOption long: String) {
    self =
      switch long {
      case "udp-service": .udp
      case "sctp-service": .sctp
      default: .tcp
      }
  }

  /// What `ipvsadm -S` writes before a service.
  var ipvsadmOption: String {
    switch self {
    case .udp: "-u"
    case .sctp: "--sctp-service"
    default: "-t"
    }
  }
}
