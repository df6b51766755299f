// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import NIOHTTP1

/// `/v1/vips…`: whose the VIPs are.
extension Routes {
  /// `path` follows `vips`.
  func virtualAddresses(_ request: Request, _ path: ArraySlice<String>) async throws -> Response {
    guard let owner else {
      throw Problem(
        .conflict,
        "this director does not announce its VIPs: start it with `announce: true` in its file")
    }
    switch (request.method, path.first, path.count) {
    case (.GET, nil, _): break
    case (.PUT, nil, _):
      let body: RoleRequest = try decode(request)
      guard let role = DirectorRole(rawValue: body.role) else {
        throw Problem(
          .badRequest, "role \(body.role.debugDescription) is unknown: give master or backup")
      }
      await owner.become(role)
    case (.POST, "announce"?, 1): await owner.announce()
    case (_, nil, _), (_, "announce"?, 1): throw notAllowed
    default: throw notFound
    }
    return try Response(.ok, await VirtualAddressesReport(owner))
  }
}

extension VirtualAddressesReport {
  fileprivate init(_ owner: VirtualAddressOwner) async {
    self.init(
      interface: owner.interface, role: await owner.role.rawValue,
      addresses: await owner.statuses.map { .init(address: $0.address, isHeld: $0.isHeld) })
  }
}
