// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import ControlPlane

/// What schedulers need of the director: the sum over workers, thresholds, the last weight.
@Suite struct DirectorSchedulingTests {
  /// Each worker sees one half of the connections; by its own half alone it would choose otherwise.
  @Test(arguments: [Scheduler.lc, .wlc, .sed, .nq])
  func countsAreTheSumOverWorkers(_ scheduler: Scheduler) async throws {
    let desk = try Desk(workers: 2)
    try await desk.addWeb(scheduler: scheduler)
    #expect(desk.destination(syn(1), worker: 0) == .realServer(2))
    #expect(desk.destination(syn(2), worker: 1) == .realServer(1))
    #expect(desk.destination(syn(3), worker: 1) == .realServer(2))
    #expect(desk.destination(syn(4), worker: 0) == .realServer(1))
  }

  /// `ip_vs_bind_dest`, over all workers.
  @Test func thresholdsCountAllWorkers() async throws {
    let desk = try Desk(workers: 2)
    try await desk.addWeb(realServers: 1...1)
    var limited = RealServerConfiguration.number(1)
    (limited.upperThreshold, limited.lowerThreshold) = (2, 1)
    try await desk.director.editRealServer(limited, of: .web)
    try await desk.director.settle()
    #expect(desk.destination(syn(1), worker: 0) == .realServer(1))
    #expect(desk.destination(syn(2), worker: 1) == .realServer(1))
    #expect(desk.destination(syn(3), worker: 0) == nil)
    #expect(desk.destination(syn(4), worker: 1) == nil)
    #expect(desk.destination(ack(1), worker: 0) == .realServer(1), "connections go on")
    try await desk.director.editRealServer(.number(1), of: .web)
    try await desk.director.settle()
    #expect(desk.destination(syn(3), worker: 0) == .realServer(1))
  }

  @Test func aLowerThresholdAboveTheUpperIsRefused() async throws {
    let desk = try Desk()
    try await desk.addWeb(realServers: 1...1)
    var wrong = RealServerConfiguration.number(1)
    (wrong.upperThreshold, wrong.lowerThreshold) = (3, 4)
    await #expect(throws: DirectorError.thresholdsCross(lower: 4, upper: 3)) {
      try await desk.director.editRealServer(wrong, of: .web)
    }
    wrong.address = IPAddress("192.168.1.152")!
    await #expect(throws: DirectorError.thresholdsCross(lower: 4, upper: 3)) {
      try await desk.director.addRealServer(wrong, to: .web)
    }
    #expect(DirectorError.thresholdsCross(lower: 4, upper: 3).errorNumber == 34)
  }

  /// `dest->last_weight`: who is drained keeps its slots of `mh`, so nobody else's clients move.
  @Test func drainingMovesNoOtherClientOfMaglev() async throws {
    let desk = try Desk()
    try await desk.addWeb(realServers: 1...3, scheduler: .mh)
    func chosen(_ client: Int, _ port: UInt16) -> MACAddress? {
      desk.destination(
        PacketBuilder(from: "10.0.1.\(client)", to: "192.168.1.149").with {
          $0.sourcePort = Port(port)
        })
    }
    let before = (1...100).map { chosen($0, 1024) }
    #expect(Set(before).count == 3)
    try await desk.director.editRealServer(.number(2, weight: 0), of: .web)
    try await desk.director.settle()
    for (client, realServer) in zip(1...100, before) {
      #expect(chosen(client, 1025) == (realServer == .realServer(2) ? nil : realServer))
    }
  }
}
