// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import ControlPlane

/// What the director tells the workers of policies, through real forwarders.
@Suite struct ServicePolicyTests {
  private func policy(_ change: (inout ServicePolicy) -> Void) -> ServicePolicy {
    var policy = ServicePolicy(for: .tcp)
    change(&policy)
    return policy
  }

  @Test func reachesLiveConnections() async throws {
    let desk = try Desk()
    try await desk.addWeb()
    #expect(desk.destination(syn(1)) == .realServer(2))
    #expect(desk.destination(ack(1)) == .realServer(2))
    try await desk.director.setPolicy(policy { $0.removal = .rehash }, of: .web)
    try await desk.director.deleteRealServer(
      IPAddress("192.168.1.152")!, port: Port(80), from: .web)
    try await desk.director.settle()
    #expect(desk.destination(ack(1)) == .realServer(1))
    #expect(desk.plane.forward(ack(2)).verdict.answer == .reset)
    try await desk.director.setPolicy(policy { $0.stray = .schedule }, of: .web)
    try await desk.director.settle()
    #expect(desk.destination(ack(2)) == .realServer(1))
  }

  /// A turn is not begun anew, as it is by `ipvsadm -E`.
  @Test func leavesTheTurnAsItIs() async throws {
    let desk = try Desk()
    try await desk.addWeb(realServers: 1...3)
    #expect(desk.destination(syn(1)) == .realServer(3))
    try await desk.director.setPolicy(policy { $0.stray = .drop }, of: .web)
    try await desk.director.settle()
    #expect(desk.destination(syn(2)) == .realServer(2))
    #expect(await desk.director.policy(of: .web)?.stray == .drop)
  }

  @Test func ofNoServiceIsRefused() async throws {
    let desk = try Desk()
    await #expect(throws: DirectorError.noSuchService(.web)) {
      try await desk.director.setPolicy(policy { _ in }, of: .web)
    }
    #expect(await desk.director.policy(of: .web) == nil)
  }

  /// A file that says another policy changes it, and nothing else of the service.
  @Test func followsTheFile() async throws {
    let desk = try Desk()
    try await desk.addWeb()
    var site = SiteConfiguration(ports: [PortConfiguration(interface: "lan0")])
    site.tables = [
      .init(
        service: ServiceConfiguration(
          key: .web, scheduler: .rr, policy: policy { $0.timeToLive = .one }),
        realServers: [.number(1), .number(2)])
    ]
    try await desk.director.apply(site)
    try await desk.director.settle()
    #expect(desk.plane.forward(syn(1)).frame[22] == 1)
    #expect(try await desk.web().configuration.policy.timeToLive == .one)
  }
}
