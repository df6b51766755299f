// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import NIOHTTP1

/// `/v1/vips…`: whose the VIPs are.
extension Routes {
  func virtualAddresses(_ request: Request) async throws -> Response {
    try await report(of: announcer())
  }

  func changeRole(_ request: Request) async throws -> Response {
    let owner = try announcer()
    let body: RoleRequest = try decode(request)
    guard let role = DirectorRole(rawValue: body.role) else {
      throw Problem(
        .badRequest, "role \(body.role.debugDescription) is unknown", mend: "give master or backup")
    }
    try await owner.become(role, if: request.conditions)
    return try await report(of: owner)
  }

  func announce(_ request: Request) async throws -> Response {
    let owner = try announcer()
    await owner.announce()
    return try await report(of: owner)
  }

  private func announcer() throws -> VirtualAddressOwner {
    guard let owner else {
      throw Problem(
        .conflict, "this director does not announce its VIPs",
        mend: "start it with `announce: true` in its file")
    }
    return owner
  }

  private func report(of owner: VirtualAddressOwner) async throws -> Response {
    let revision = await owner.role.revision
    return try Response(.ok, await VirtualAddressesReport(owner)).tagged(revision)
  }
}

extension VirtualAddressOwner {
  /// The same, unless it has another role by now than `conditions` say.
  fileprivate func become(_ role: DirectorRole, if conditions: Conditions) throws {
    try conditions.check(self.role.revision)
    become(role)
  }
}

extension DirectorRole {
  fileprivate var revision: Int { hashValue }
}

extension VirtualAddressesReport {
  fileprivate init(_ owner: VirtualAddressOwner) async {
    self.init(
      interface: owner.interface, role: await owner.role.rawValue,
      addresses: await owner.statuses.map { .init(address: $0.address, isHeld: $0.isHeld) })
  }
}
